package jwt;

import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.ServletRequest;
import jakarta.servlet.ServletResponse;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.security.authentication.AuthenticationServiceException;
import org.springframework.security.config.Customizer;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.oauth2.server.resource.web.authentication.BearerTokenAuthenticationFilter;
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
                .addFilterBefore(Api::tellUnavailable, BearerTokenAuthenticationFilter.class)
                .build();
    }

    // Nobody knows whether the token is good. Without this Spring's page of errors is protected too, and answers 401.
    private static void tellUnavailable(ServletRequest request, ServletResponse response, FilterChain chain)
            throws IOException, ServletException {
        try {
            chain.doFilter(request, response);
        } catch (AuthenticationServiceException unavailable) {
            ((HttpServletResponse) response).setHeader("Retry-After", "5");
            ((HttpServletResponse) response).setStatus(503);
        }
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
