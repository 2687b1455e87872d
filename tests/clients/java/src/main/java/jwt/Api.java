package jwt;

import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.security.config.Customizer;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.web.SecurityFilterChain;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/** A service that verifies tokens by itself. */
@SpringBootApplication
public class Api {
    // recipe: chain
    @Bean
    SecurityFilterChain security(HttpSecurity http) throws Exception {
        return http.authorizeHttpRequests(requests -> requests
                        .requestMatchers("/files").hasAuthority("SCOPE_files:read")
                        .anyRequest().hasAuthority("SCOPE_db:read"))
                .oauth2ResourceServer(server -> server.jwt(Customizer.withDefaults()))
                .build();
    }
    // end of recipe

    @RestController
    static class Hello {
        @GetMapping({"/db", "/files"})
        String hello() {
            return "hello";
        }
    }
}
