// recipe: tokens
package tokens;

import com.nimbusds.oauth2.sdk.ClientCredentialsGrant;
import com.nimbusds.oauth2.sdk.ParseException;
import com.nimbusds.oauth2.sdk.Scope;
import com.nimbusds.oauth2.sdk.TokenRequest;
import com.nimbusds.oauth2.sdk.TokenResponse;
import com.nimbusds.oauth2.sdk.auth.ClientSecretBasic;
import com.nimbusds.oauth2.sdk.auth.Secret;
import com.nimbusds.oauth2.sdk.http.HTTPRequest;
import com.nimbusds.oauth2.sdk.id.ClientID;
import com.nimbusds.oauth2.sdk.token.AccessToken;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.concurrent.TimeUnit;

/** Keeps a token, renews it 60 s before it expires, and forgets it when a service says that it is dead. */
public final class Tokens {
    private final HttpClient http = HttpClient.newHttpClient();
    private final TokenRequest request;
    private String token;
    private long renewAt; // as System.nanoTime() counts

    public Tokens(URI endpoint, String id, String secret, String scope, String audience) {
        request = new TokenRequest.Builder(
                        endpoint, new ClientSecretBasic(new ClientID(id), new Secret(secret)), new ClientCredentialsGrant())
                .scope(Scope.parse(scope))
                .customParameter("audience", audience)
                .build();
    }

    /** One thread asks, the others wait for its answer. */
    public synchronized String get() throws IOException, ParseException {
        long now = System.nanoTime();
        if (token == null || now - renewAt >= 0) {
            HTTPRequest question = request.toHTTPRequest();
            question.setConnectTimeout(10_000);
            question.setReadTimeout(10_000);
            TokenResponse answer = TokenResponse.parse(question.send());
            if (!answer.indicatesSuccess()) {
                throw new IOException("no token: " + answer.toErrorResponse().getErrorObject().toJSONObject());
            }
            AccessToken told = answer.toSuccessResponse().getTokens().getAccessToken();
            token = told.getValue();
            renewAt = now + TimeUnit.SECONDS.toNanos(told.getLifetime() - 60);
        }
        return token;
    }

    public synchronized void drop(String dead) {
        if (dead.equals(token)) { // another thread may have brought a new one by now
            token = null;
        }
    }

    /** Sends a request with a token. On a 401 the token is dropped and a new one tried, once. */
    public HttpResponse<String> send(HttpRequest.Builder request)
            throws IOException, InterruptedException, ParseException {
        String token = get();
        HttpResponse<String> answer = sendWith(token, request);
        if (answer.statusCode() == 401) {
            drop(token);
            answer = sendWith(get(), request);
        }
        return answer;
    }

    private HttpResponse<String> sendWith(String token, HttpRequest.Builder request)
            throws IOException, InterruptedException {
        request.setHeader("Authorization", "Bearer " + token);
        return http.send(request.build(), HttpResponse.BodyHandlers.ofString());
    }
}
// end of recipe
