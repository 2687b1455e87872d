// recipe: verification
package atjwt;

import java.util.Objects;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Import;
import org.springframework.scheduling.annotation.EnableScheduling;
import org.springframework.security.oauth2.core.DelegatingOAuth2TokenValidator;
import org.springframework.security.oauth2.jwt.JwtClaimValidator;
import org.springframework.security.oauth2.jwt.JwtDecoder;
import org.springframework.security.oauth2.jwt.JwtValidators;
import org.springframework.security.oauth2.jwt.NimbusJwtDecoder;

/** All that RFC 9068 demands, `typ: at+jwt` for one, and the revocation list. */
@Configuration
@EnableScheduling
@Import(Revocations.class)
public class Verification {
    @Bean
    JwtDecoder decoder(
            @Value("${spring.security.oauth2.resourceserver.jwt.issuer-uri}") String issuer,
            @Value("${spring.security.oauth2.resourceserver.jwt.audiences}") String audience,
            Revocations revocations) {
        NimbusJwtDecoder decoder =
                NimbusJwtDecoder.withIssuerLocation(issuer).validateType(false).build();
        decoder.setJwtValidator(new DelegatingOAuth2TokenValidator<>(
                JwtValidators.createAtJwtValidator().issuer(issuer).audience(audience)
                        // Spring Security 6.5 insists on a validator for it, 7 brings one.
                        .validators(all -> all.putIfAbsent("client_id",
                                new JwtClaimValidator<>("client_id", Objects::nonNull)))
                        .build(),
                revocations));
        return decoder;
    }
}
// end of recipe
