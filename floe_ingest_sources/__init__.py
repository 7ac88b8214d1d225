"""The built-in sources. Each module is a plugin like any third party's: it uses the contract alone."""
