import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;

/**
 * Asks over JDBC and prints the rows, tab between cells: {@code java Ask HOST:PORT SQL}.
 *
 * <p>A failure is printed with Trino's number of it.
 */
public final class Ask
{
    private Ask() {}

    public static void main(String[] arguments)
    {
        try {
            ask(arguments);
        }
        catch (SQLException failure) {
            System.err.println(failure.getErrorCode() + ": " + failure.getMessage());
            System.exit(1);
        }
    }

    private static void ask(String[] arguments)
            throws SQLException
    {
        String url = "jdbc:trino://" + arguments[0];
        try (Connection connection = DriverManager.getConnection(url, "article", null);
                Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery(arguments[1])) {
            int columns = rows.getMetaData().getColumnCount();
            while (rows.next()) {
                StringBuilder line = new StringBuilder(rows.getString(1));
                for (int column = 2; column <= columns; column++) {
                    line.append('\t').append(rows.getString(column));
                }
                System.out.println(line);
            }
        }
    }
}
