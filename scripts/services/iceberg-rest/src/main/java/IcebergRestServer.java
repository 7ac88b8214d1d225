import java.io.InputStream;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import org.apache.iceberg.jdbc.JdbcCatalog;
import org.apache.iceberg.rest.RESTCatalogAdapter;
import org.apache.iceberg.rest.RESTCatalogServlet;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.Server;

/**
 * Iceberg's own reference REST catalog (of iceberg-core's tests jar) on the loopback.
 *
 * <p>Arguments: PORT WAREHOUSE JDBC_URI PROPERTIES_FILE. The file holds catalog properties, such as
 * {@code io-impl} and the keys of an object store; without {@code io-impl}, tables go to local files.
 */
public final class IcebergRestServer {
  private IcebergRestServer() {}

  public static void main(String[] args) throws Exception {
    Properties given = new Properties();
    try (InputStream file = Files.newInputStream(Path.of(args[3]))) {
      given.load(file);
    }
    Map<String, String> properties = new HashMap<>();
    properties.put("warehouse", args[1]);
    properties.put("uri", args[2]);
    properties.put("clients", "1");
    properties.put("jdbc.schema-version", "V1");
    properties.put("io-impl", "org.apache.iceberg.TestTables$LocalFileIO");
    given.forEach((key, value) -> properties.put(key.toString(), value.toString()));
    JdbcCatalog catalog = new JdbcCatalog();
    catalog.initialize("rest_backend", properties);
    ServletContextHandler handler = new ServletContextHandler();
    handler.addServlet(new ServletHolder(new RESTCatalogServlet(new RESTCatalogAdapter(catalog))), "/*");
    Server server = new Server(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])));
    server.setHandler(handler);
    server.start();
    server.join();
  }
}
