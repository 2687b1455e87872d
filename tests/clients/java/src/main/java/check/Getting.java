package check;

import static check.Given.expect;

import com.nimbusds.oauth2.sdk.as.AuthorizationServerMetadata;
import com.nimbusds.oauth2.sdk.token.BearerAccessToken;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpRequest;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.IntFunction;
import tokens.Tokens;

/** Checks the recipe's Tokens: it keeps a token, renews it in time, and gets another when a service refuses it. */
final class Getting {
    private static final String ID = System.getenv("CLIENT_ID");
    private static final String SECRET = System.getenv("CLIENT_SECRET");

    static void check() throws Exception {
        // Use the server itself as a service: each agent may read itself with a token for the issuer.
        Tokens tokens = tokens(Given.ISSUER + "/api/v1/token", SECRET);
        expect("a good token", ask(tokens, Given.ISSUER + "/api/v1/agents/" + ID), 200);
        String first = tokens.get();
        expect("the token is kept", tokens.get(), first);

        // A token is renewed 60 s before it expires, but not yet 75 s before.
        for (int[] lifetime : new int[][] {{60, 3}, {75, 1}}) {
            var stub = new Stub(200, number -> "{\"access_token\":\"" + number
                    + "\",\"token_type\":\"Bearer\",\"expires_in\":" + lifetime[0] + "}");
            Tokens brief = tokens(stub.url(), SECRET);
            for (int i = 0; i < 3; i++) {
                brief.get();
            }
            expect(lifetime[0] + " s", stub.answered.get(), lifetime[1]);
            stub.stop();
        }

        Given.revoke(new BearerAccessToken(first));
        expect("after a revocation", ask(tokens, Given.ISSUER + "/api/v1/agents/" + ID), 200);
        expect("another token", tokens.get().equals(first), false);

        var service = new Stub(401, number -> "no");
        expect("a service that refuses", ask(tokens, service.url()), 401);
        expect("requests", service.answered.get(), 2);
        service.stop();

        try {
            tokens(Given.ISSUER + "/api/v1/token", Given.WRONG_SECRET).get();
            throw new AssertionError("a wrong secret got a token");
        } catch (IOException refused) {
            expect(refused.getMessage(), refused.getMessage().contains("invalid_client"), true);
        }
        Given.done(AuthorizationServerMetadata.class.getPackage().getImplementationVersion(),
                "one token for many calls; renewed 60 s before its end; a dead token is dropped and another asked for, once");
    }

    private static Tokens tokens(String endpoint, String secret) {
        return new Tokens(URI.create(endpoint), ID, secret, "db:read", Given.ISSUER);
    }

    private static int ask(Tokens tokens, String url) throws Exception {
        return tokens.send(HttpRequest.newBuilder(URI.create(url))).statusCode();
    }

    /** A server that gives made-up responses and counts them. */
    private static final class Stub {
        final AtomicInteger answered = new AtomicInteger();
        private final HttpServer server;

        Stub(int status, IntFunction<String> answer) throws IOException {
            server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
            server.createContext("/", exchange -> {
                byte[] body = answer.apply(answered.getAndIncrement()).getBytes();
                exchange.getRequestBody().readAllBytes();
                exchange.getResponseHeaders().set("Content-Type", "application/json");
                exchange.sendResponseHeaders(status, body.length);
                exchange.getResponseBody().write(body);
                exchange.close();
            });
            server.start();
        }

        String url() {
            return "http://127.0.0.1:" + server.getAddress().getPort();
        }

        void stop() {
            server.stop(0);
        }
    }
}
