package check;

import com.nimbusds.jose.JOSEObjectType;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.KeySourceException;
import com.nimbusds.jose.jwk.source.JWKSourceBuilder;
import com.nimbusds.jose.proc.BadJOSEException;
import com.nimbusds.jose.proc.DefaultJOSEObjectTypeVerifier;
import com.nimbusds.jose.proc.JWSVerificationKeySelector;
import com.nimbusds.jose.proc.SecurityContext;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.proc.ConfigurableJWTProcessor;
import com.nimbusds.jwt.proc.DefaultJWTClaimsVerifier;
import com.nimbusds.jwt.proc.DefaultJWTProcessor;
import com.nimbusds.oauth2.sdk.ErrorObject;
import com.nimbusds.oauth2.sdk.as.AuthorizationServerMetadata;
import com.nimbusds.oauth2.sdk.id.Issuer;
import com.nimbusds.oauth2.sdk.token.AccessToken;
import java.net.URL;
import java.util.Set;

final class Nimbus {
    // recipe: verify
    static ConfigurableJWTProcessor<SecurityContext> verifier(String issuer, String audience)
            throws Exception {
        var server = AuthorizationServerMetadata.resolve(new Issuer(issuer));
        var keys = JWKSourceBuilder.create(server.getJWKSetURI().toURL()).retrying(true).build();
        var verifier = new DefaultJWTProcessor<SecurityContext>();
        // Without this line only `JWT` and none at all pass.
        verifier.setJWSTypeVerifier(new DefaultJOSEObjectTypeVerifier<>(new JOSEObjectType("at+jwt")));
        verifier.setJWSKeySelector(new JWSVerificationKeySelector<>(JWSAlgorithm.RS256, keys));
        verifier.setJWTClaimsSetVerifier(new DefaultJWTClaimsVerifier<>(
                audience,
                new JWTClaimsSet.Builder().issuer(issuer).build(),
                Set.of("sub", "client_id", "scope", "iat", "exp", "jti")));
        return verifier;
    }
    // end of recipe

    static void check() throws Exception {
        var verifier = verifier(Given.ISSUER, Given.AUDIENCE);
        AccessToken token = Given.token("db:read", Given.AUDIENCE);
        JWTClaimsSet claims = verifier.process(token.getValue(), null);
        Given.expect("client_id", claims.getClaim("client_id"), System.getenv("CLIENT_ID"));
        Given.expect("scope", claims.getClaim("scope"), "db:read");
        refuses(verifier, Given.token("db:read", "https://other.example"), "JWT aud claim rejected");
        // Keys that cannot be had are another kind of exception: nobody knows whether the token is good.
        try {
            var blind = verifier(Given.ISSUER, Given.AUDIENCE);
            blind.setJWSKeySelector(new JWSVerificationKeySelector<>(JWSAlgorithm.RS256,
                    JWKSourceBuilder.create(new URL("http://127.0.0.1:1/jwks.json")).build()));
            blind.process(token.getValue(), null);
            throw new AssertionError("a verdict without keys");
        } catch (KeySourceException unavailable) {
            Given.expect("keys", unavailable.getMessage().contains("Connection refused"), true);
        }
        var defaults = verifier(Given.ISSUER, Given.AUDIENCE);
        defaults.setJWSTypeVerifier(new DefaultJOSEObjectTypeVerifier<>(JOSEObjectType.JWT, null));
        refuses(defaults, token, "JOSE header typ (type) at+jwt not allowed");

        Given.expect("active before revocation", Given.isActive(token), true);
        Given.revoke(token);
        Given.expect("active after revocation", Given.isActive(token), false);

        ErrorObject error = Given.requestToken(
                        Given.ISSUER, System.getenv("CLIENT_ID"), Given.WRONG_SECRET, "db:read", Given.AUDIENCE)
                .toErrorResponse().getErrorObject();
        Given.expect("wrong secret", error.getCode(), "invalid_client");
        Given.expect("wrong secret", error.getDescription(),
                "Client authentication failed. Invalid client_id or client_secret.");
        Given.done(versionOf(DefaultJWTProcessor.class), "`oauth2-oidc-sdk` " + versionOf(AuthorizationServerMetadata.class)
                + ": token, introspection, revocation; verified offline as `at+jwt`; keys that cannot be had are no verdict; a wrong secret is `invalid_client`");
    }

    private static String versionOf(Class<?> part) {
        return part.getPackage().getImplementationVersion();
    }

    private static void refuses(
            ConfigurableJWTProcessor<SecurityContext> verifier, AccessToken token, String why)
            throws Exception {
        try {
            verifier.process(token.getValue(), null);
        } catch (BadJOSEException refused) {
            if (refused.getMessage().startsWith(why)) {
                return;
            }
            throw refused;
        }
        throw new AssertionError("accepted in spite of: " + why);
    }
}
