package introspection;

import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.ServletRequest;
import jakarta.servlet.ServletResponse;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.util.List;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.security.authentication.AuthenticationServiceException;
import org.springframework.security.config.Customizer;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.oauth2.core.OAuth2AuthenticatedPrincipal;
import org.springframework.security.oauth2.server.resource.introspection.BadOpaqueTokenException;
import org.springframework.security.oauth2.server.resource.introspection.OpaqueTokenIntrospector;
import org.springframework.security.oauth2.server.resource.introspection.SpringOpaqueTokenIntrospector;
import org.springframework.security.oauth2.server.resource.web.authentication.BearerTokenAuthenticationFilter;
import org.springframework.security.web.SecurityFilterChain;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

@SpringBootApplication
public class Api {
    // recipe: chain
    @Bean
    SecurityFilterChain security(HttpSecurity http) throws Exception {
        return http.authorizeHttpRequests(requests -> requests
                        .requestMatchers("/files").hasAuthority("SCOPE_files:read")
                        .anyRequest().hasAuthority("SCOPE_db:read"))
                .oauth2ResourceServer(server -> server.opaqueToken(Customizer.withDefaults()))
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

    // Introspection tells of every token of the server, so the audience is compared here.
    @Bean
    OpaqueTokenIntrospector introspector(
            @Value("${spring.security.oauth2.resourceserver.opaquetoken.introspection-uri}") String uri,
            @Value("${spring.security.oauth2.resourceserver.opaquetoken.client-id}") String id,
            @Value("${spring.security.oauth2.resourceserver.opaquetoken.client-secret}") String secret) {
        OpaqueTokenIntrospector server = SpringOpaqueTokenIntrospector.withIntrospectionUri(uri)
                .clientId(id).clientSecret(secret).build();
        return token -> {
            OAuth2AuthenticatedPrincipal principal = server.introspect(token);
            List<String> audience = principal.getAttribute("aud");
            if (audience == null || !audience.contains("https://api.example")) {
                throw new BadOpaqueTokenException("The token is for another audience");
            }
            return principal;
        };
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
