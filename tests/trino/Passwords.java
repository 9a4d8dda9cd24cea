import io.trino.spi.Plugin;
import io.trino.spi.security.AccessDeniedException;
import io.trino.spi.security.BasicPrincipal;
import io.trino.spi.security.PasswordAuthenticator;
import io.trino.spi.security.PasswordAuthenticatorFactory;

import java.util.List;
import java.util.Map;

/**
 * Trino's plugin for passwords, which not every mirror of Maven Central holds, in small: users and
 * their passwords are the lines of {@code password-authenticator.properties}.
 */
public final class Passwords
        implements Plugin, PasswordAuthenticatorFactory
{
    @Override
    public Iterable<PasswordAuthenticatorFactory> getPasswordAuthenticatorFactories()
    {
        return List.of(this);
    }

    @Override
    public String getName()
    {
        return "passwords";
    }

    @Override
    public PasswordAuthenticator create(Map<String, String> passwords)
    {
        return (user, password) -> {
            if (!password.equals(passwords.get(user))) {
                throw new AccessDeniedException("Invalid credentials");
            }
            return new BasicPrincipal(user);
        };
    }
}
