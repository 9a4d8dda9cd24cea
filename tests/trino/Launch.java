import io.trino.server.Server;

/**
 * Starts a Trino node: all that {@code io.trino.server.TrinoServer} does.
 *
 * <p>That class is the only one in the artifact {@code trino-server-main}, which not every mirror
 * of Maven Central holds for every version. The server itself is in {@code trino-main}.
 */
public final class Launch
{
    private Launch() {}

    public static void main(String[] arguments)
    {
        new Server().start(arguments[0]);
    }
}
