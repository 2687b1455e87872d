package check;

import static check.Given.expect;

import com.nimbusds.jose.jwk.Curve;
import com.nimbusds.jose.jwk.ECKey;
import com.nimbusds.jose.jwk.gen.ECKeyGenerator;
import com.nimbusds.oauth2.sdk.as.AuthorizationServerMetadata;
import com.nimbusds.oauth2.sdk.id.Issuer;
import com.nimbusds.oauth2.sdk.token.BearerAccessToken;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.springframework.security.oauth2.client.endpoint.NimbusJwtClientAuthenticationParametersConverter;
import org.springframework.security.oauth2.client.endpoint.OAuth2ClientCredentialsGrantRequest;
import org.springframework.security.oauth2.client.endpoint.RestClientClientCredentialsTokenResponseClient;
import org.springframework.security.oauth2.client.registration.ClientRegistration;
import org.springframework.security.oauth2.core.AuthorizationGrantType;
import org.springframework.security.oauth2.core.ClientAuthenticationMethod;
import org.springframework.security.oauth2.core.OAuth2AuthorizationException;

/** Checks Spring Security as a client that signs with a key of its own. */
final class OwnKey {
    private static final String VERSION = ClientRegistration.class.getPackage().getImplementationVersion();

    // recipe: own-key
    /** Gets tokens with assertions for the issuer. By itself, the library makes them for the token endpoint. */
    static RestClientClientCredentialsTokenResponseClient tokensBy(ECKey key, String issuer) {
        var assertions = new NimbusJwtClientAuthenticationParametersConverter<OAuth2ClientCredentialsGrantRequest>(
                registration -> key);
        assertions.setJwtClientAssertionCustomizer(context -> context.getClaims().audience(List.of(issuer)));
        var tokens = new RestClientClientCredentialsTokenResponseClient();
        tokens.addParametersConverter(assertions);
        return tokens;
    }
    // end of recipe

    static void check() throws Exception {
        String id = System.getenv("CLIENT_ID");
        ECKey key = newKey();
        Path file = Path.of(System.getenv("TMPDIR"), "public-key");
        Files.writeString(file, key.toPublicJWK().toJSONString());
        String[] give = {System.getenv("SEALWRIGHT"), "credential", "create", id, "--public-key", file.toString()};
        expect("registration", new ProcessBuilder(give).redirectErrorStream(true).start().waitFor(), 0);

        var server = AuthorizationServerMetadata.resolve(new Issuer(Given.ISSUER));
        var registration = ClientRegistration.withRegistrationId("sealwright")
                .clientId(id)
                .clientAuthenticationMethod(ClientAuthenticationMethod.PRIVATE_KEY_JWT)
                .authorizationGrantType(AuthorizationGrantType.CLIENT_CREDENTIALS)
                .tokenUri(server.getTokenEndpointURI().toString())
                .scope("db:read")
                .build();
        var request = new OAuth2ClientCredentialsGrantRequest(registration);
        var tokens = tokensBy(key, Given.ISSUER);
        for (int i = 0; i < 2; i++) {
            var token = tokens.getTokenResponse(request).getAccessToken();
            expect("a token", Given.isActive(new BearerAccessToken(token.getTokenValue())), true);
        }
        try {
            tokensBy(newKey(), Given.ISSUER).getTokenResponse(request);
            throw new AssertionError("a wrong key got a token");
        } catch (OAuth2AuthorizationException refused) {
            expect("a wrong key", refused.getMessage().contains("401 Unauthorized") && refused.getMessage().contains("\"error\":\"invalid_client\""), true);
        }
        Given.done(VERSION, "tokens by `private_key_jwt`, with an `aud` of one's own; a wrong key is `401 Unauthorized` with the reason");
    }

    private static ECKey newKey() throws Exception {
        return new ECKeyGenerator(Curve.P_256).keyIDFromThumbprint(true).generate();
    }
}
