package check;

import com.nimbusds.oauth2.sdk.ClientCredentialsGrant;
import com.nimbusds.oauth2.sdk.Scope;
import com.nimbusds.oauth2.sdk.TokenIntrospectionRequest;
import com.nimbusds.oauth2.sdk.TokenIntrospectionResponse;
import com.nimbusds.oauth2.sdk.TokenRequest;
import com.nimbusds.oauth2.sdk.TokenResponse;
import com.nimbusds.oauth2.sdk.TokenRevocationRequest;
import com.nimbusds.oauth2.sdk.as.AuthorizationServerMetadata;
import com.nimbusds.oauth2.sdk.auth.ClientAuthentication;
import com.nimbusds.oauth2.sdk.auth.ClientSecretBasic;
import com.nimbusds.oauth2.sdk.auth.Secret;
import com.nimbusds.oauth2.sdk.id.ClientID;
import com.nimbusds.oauth2.sdk.id.Issuer;
import com.nimbusds.oauth2.sdk.token.AccessToken;

/** Requests to the server with the Nimbus SDK, and the values that all checks use. */
final class Given {
    static final String ISSUER = System.getenv("ISSUER");
    static final String AUDIENCE = "https://api.example";
    // A secret in the form of a real one. It belongs to no agent.
    static final String WRONG_SECRET = "sw_wrong" + "x".repeat(56);

    static TokenResponse requestToken(String issuer, String id, String secret, String scope, String audience)
            throws Exception {
        AuthorizationServerMetadata server = AuthorizationServerMetadata.resolve(new Issuer(issuer));
        ClientAuthentication client = new ClientSecretBasic(new ClientID(id), new Secret(secret));
        TokenRequest request = new TokenRequest.Builder(
                        server.getTokenEndpointURI(), client, new ClientCredentialsGrant())
                .scope(Scope.parse(scope))
                .customParameter("audience", audience)
                .build();
        return TokenResponse.parse(request.toHTTPRequest().send());
    }

    static AccessToken token(String scope, String audience) throws Exception {
        TokenResponse response = requestToken(
                ISSUER, System.getenv("CLIENT_ID"), System.getenv("CLIENT_SECRET"), scope, audience);
        return response.toSuccessResponse().getTokens().getAccessToken();
    }

    static void revoke(AccessToken token) throws Exception {
        AuthorizationServerMetadata server = AuthorizationServerMetadata.resolve(new Issuer(ISSUER));
        ClientAuthentication client = new ClientSecretBasic(
                new ClientID(System.getenv("CLIENT_ID")), new Secret(System.getenv("CLIENT_SECRET")));
        var request = new TokenRevocationRequest(server.getRevocationEndpointURI(), client, token);
        expect("revocation", request.toHTTPRequest().send().getStatusCode(), 200);
    }

    static boolean isActive(AccessToken token) throws Exception {
        AuthorizationServerMetadata server = AuthorizationServerMetadata.resolve(new Issuer(ISSUER));
        ClientAuthentication service = new ClientSecretBasic(
                new ClientID(System.getenv("SERVICE_ID")), new Secret(System.getenv("SERVICE_SECRET")));
        var request = new TokenIntrospectionRequest(server.getIntrospectionEndpointURI(), service, token);
        return TokenIntrospectionResponse.parse(request.toHTTPRequest().send())
                .toSuccessResponse().isActive();
    }

    static void expect(String what, Object seen, Object wanted) {
        if (!wanted.equals(seen)) {
            throw new AssertionError(what + ": saw " + seen + ", wanted " + wanted);
        }
    }

    /** Prints the last line, which tests/clients/run reads. */
    static void done(String version, String did) {
        System.out.println(version + ": " + did);
    }
}
