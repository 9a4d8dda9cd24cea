import java.io.IOException;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;

/**
 * Asks for nodes over JDBC until its standard input ends: {@code java Load HOST:PORT SQL}.
 *
 * <p>Prints a line for each query: when it began and ended, in milliseconds of the Unix clock, and
 * then either the active nodes or, behind an exclamation mark, why it failed.
 */
public final class Load
{
    private static final long PAUSE_MILLIS = 200;

    private Load() {}

    public static void main(String[] arguments)
            throws IOException, InterruptedException
    {
        Thread loop = new Thread(() -> ask("jdbc:trino://" + arguments[0], arguments[1]));
        loop.setDaemon(true);
        loop.start();
        while (System.in.read() >= 0) {
            // Whatever comes: only the end counts.
        }
    }

    private static void ask(String url, String sql)
    {
        while (true) {
            long began = System.currentTimeMillis();
            String outcome = once(url, sql);
            System.out.println(began + "\t" + System.currentTimeMillis() + "\t" + outcome);
            try {
                Thread.sleep(PAUSE_MILLIS);
            }
            catch (InterruptedException e) {
                return;
            }
        }
    }

    private static String once(String url, String sql)
    {
        try (Connection connection = DriverManager.getConnection(url, "article", null);
                Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery(sql)) {
            StringBuilder cells = new StringBuilder();
            while (rows.next()) {
                if (rows.getString("state").equals("active")) {
                    cells.append(cells.length() == 0 ? "" : ",").append(rows.getString(1));
                }
            }
            return cells.toString();
        }
        catch (SQLException e) {
            StringBuilder why = new StringBuilder("!");
            for (Throwable one = e; one != null; one = one.getCause()) {
                why.append(one == e ? "" : "; ").append(one.getMessage());
            }
            return why.toString().replaceAll("\\s+", " ");
        }
    }
}
