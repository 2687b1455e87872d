package peer;

import com.zaxxer.hikari.HikariDataSource;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.autoconfigure.condition.ConditionalOnProperty;
import org.springframework.boot.jdbc.autoconfigure.DataSourceAutoConfiguration;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.core.io.ClassPathResource;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.security.crypto.bcrypt.BCryptPasswordEncoder;
import org.springframework.security.crypto.password.NoOpPasswordEncoder;
import org.springframework.security.crypto.password.PasswordEncoder;
import org.springframework.security.oauth2.core.AuthorizationGrantType;
import org.springframework.security.oauth2.core.ClientAuthenticationMethod;
import org.springframework.security.oauth2.server.authorization.InMemoryOAuth2AuthorizationService;
import org.springframework.security.oauth2.server.authorization.JdbcOAuth2AuthorizationService;
import org.springframework.security.oauth2.server.authorization.OAuth2AuthorizationService;
import org.springframework.security.oauth2.server.authorization.client.InMemoryRegisteredClientRepository;
import org.springframework.security.oauth2.server.authorization.client.JdbcRegisteredClientRepository;
import org.springframework.security.oauth2.server.authorization.client.RegisteredClient;
import org.springframework.security.oauth2.server.authorization.client.RegisteredClientRepository;

/**
 * The least Spring Authorization Server: Spring Boot's defaults, and clients from a file.
 *
 * <p>`peer.store` says where clients and tokens are kept (`memory` or `postgres`), `peer.secrets`
 * how a secret is kept (`plain` or `bcrypt`).
 */
@SpringBootApplication(exclude = DataSourceAutoConfiguration.class)
public class Peer {
    public static void main(String[] arguments) {
        SpringApplication.run(Peer.class, arguments);
    }

    /** Spring's own default is bcrypt, which it computes anew for each request. */
    @Bean
    @SuppressWarnings("deprecation")
    PasswordEncoder passwordEncoder(@Value("${peer.secrets}") String secrets) {
        return switch (secrets) {
            case "bcrypt" -> new BCryptPasswordEncoder();
            case "plain" -> NoOpPasswordEncoder.getInstance();
            default -> throw new IllegalArgumentException("peer.secrets: " + secrets);
        };
    }

    /** The clients of the file: an id and a secret in each line. */
    private static List<RegisteredClient> clients(Path file, PasswordEncoder encoder) throws Exception {
        return Files.readAllLines(file).stream()
                .map(line -> line.split(" "))
                .map(pair -> RegisteredClient.withId(pair[0])
                        .clientId(pair[0])
                        .clientSecret(encoder.encode(pair[1]))
                        .clientAuthenticationMethod(ClientAuthenticationMethod.CLIENT_SECRET_POST)
                        .authorizationGrantType(AuthorizationGrantType.CLIENT_CREDENTIALS)
                        .scope("agents:read")
                        .build())
                .toList();
    }

    @Configuration
    @ConditionalOnProperty(name = "peer.store", havingValue = "memory")
    static class Memory {
        @Bean
        RegisteredClientRepository clientRepository(
                @Value("${peer.clients}") Path file, PasswordEncoder encoder) throws Exception {
            return new InMemoryRegisteredClientRepository(clients(file, encoder));
        }

        @Bean
        OAuth2AuthorizationService authorizationService() {
            return new InMemoryOAuth2AuthorizationService();
        }
    }

    @Configuration
    @ConditionalOnProperty(name = "peer.store", havingValue = "postgres")
    static class Postgres {
        @Bean
        JdbcTemplate jdbc(@Value("${peer.database}") String url, @Value("${peer.user}") String user)
                throws Exception {
            HikariDataSource pool = new HikariDataSource();
            pool.setJdbcUrl(url);
            pool.setUsername(user);
            JdbcTemplate jdbc = new JdbcTemplate(pool);
            String folder = "org/springframework/security/oauth2/server/authorization/";
            for (String schema :
                    List.of("oauth2-authorization-schema.sql", "client/oauth2-registered-client-schema.sql")) {
                String sql = new ClassPathResource(folder + schema).getContentAsString(StandardCharsets.UTF_8);
                // The schema's own comment asks for this on PostgreSQL, which has no `blob`.
                jdbc.execute(sql.replace("blob", "text"));
            }
            return jdbc;
        }

        @Bean
        RegisteredClientRepository clientRepository(
                JdbcTemplate jdbc, @Value("${peer.clients}") Path file, PasswordEncoder encoder)
                throws Exception {
            JdbcRegisteredClientRepository repository = new JdbcRegisteredClientRepository(jdbc);
            clients(file, encoder).forEach(repository::save);
            return repository;
        }

        @Bean
        OAuth2AuthorizationService authorizationService(
                JdbcTemplate jdbc, RegisteredClientRepository clients) {
            return new JdbcOAuth2AuthorizationService(jdbc, clients);
        }
    }
}
