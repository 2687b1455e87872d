package check;

import static check.Given.expect;

import com.nimbusds.oauth2.sdk.token.AccessToken;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.time.Instant;
import org.springframework.boot.SpringBootVersion;
import org.springframework.boot.builder.SpringApplicationBuilder;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.security.oauth2.server.resource.introspection.OAuth2IntrospectionException;
import org.springframework.security.oauth2.server.resource.introspection.SpringOpaqueTokenIntrospector;

/** Checks services made with Spring Boot and Spring Security: starts each and sends HTTP requests to it. */
final class Spring {
    private static final HttpClient CLIENT = HttpClient.newHttpClient();
    private static String service;

    private static final String VERSION =
            SpringOpaqueTokenIntrospector.class.getPackage().getImplementationVersion();
    private static final String BOOT = "Spring Boot " + SpringBootVersion.getVersion() + ": ";
    private static final String RESOURCE_SERVER = "--spring.security.oauth2.resourceserver.";
    private static final String LACKS_SCOPE = "The request requires higher privileges";

    static void checkAtJwt() throws Exception {
        try (var running = start("jwt", jwt.Api.class)) {
            AccessToken token = Given.token("db:read", Given.AUDIENCE);
            expectAnswer("/db", token, 401, "the given typ value needs to be one of [JWT]");
        }
        try (var running = start("jwt", jwt.Api.class, atjwt.Verification.class)) {
            AccessToken token = checkScopes("The aud claim is not valid");
            Given.revoke(token);
            Instant deadline = Instant.now().plus(Duration.ofSeconds(10));
            while (ask("/db", token).statusCode() == 200 && Instant.now().isBefore(deadline)) {
                Thread.sleep(20);
            }
            expectAnswer("/db", token, 401, "The token is revoked");
        }
        Given.done(VERSION, BOOT + "verified offline as `at+jwt`; 403 without the scope, 401 for another audience and after revocation");
    }

    static void checkTypJwt() throws Exception {
        try (var running = start("jwt", jwt.Api.class)) {
            checkScopes("The aud claim is not valid");
        }
        expectNoVerdict("jwt", RESOURCE_SERVER + "jwt.jwk-set-uri=http://127.0.0.1:1/jwks.json", jwt.Api.class);
        Given.done(VERSION, BOOT + "its defaults with `SEALWRIGHT_TOKEN__TYP=JWT`: verified offline; 503, not 401, while the keys cannot be had; it cannot see revocation");
    }

    static void checkIntrospection() throws Exception {
        try (var running = start("introspection", introspection.Api.class)) {
            AccessToken token = checkScopes("The token is for another audience");
            Given.revoke(token);
            expectAnswer("/db", token, 401, "Provided token isn't active");
        }
        expectNoVerdict("introspection",
                RESOURCE_SERVER + "opaquetoken.introspection-uri=http://127.0.0.1:1", introspection.Api.class);
        var wrong = SpringOpaqueTokenIntrospector
                .withIntrospectionUri(Given.ISSUER + "/api/v1/token/introspect")
                .clientId(System.getenv("SERVICE_ID")).clientSecret(Given.WRONG_SECRET).build();
        try {
            wrong.introspect("any");
            throw new AssertionError("a wrong secret was let in");
        } catch (OAuth2IntrospectionException refused) {
            expect("wrong secret", refused.getMessage().startsWith("401 Unauthorized on POST request"), true);
        }
        Given.done(VERSION, BOOT + "introspected; 403 without the scope, 401 for another audience and after revocation; 503, not 401, while the server cannot be asked; a wrong secret is `401 Unauthorized`");
    }

    /** Checks that a service that cannot reach the server answers 503, and never judges the token. */
    private static void expectNoVerdict(String configuration, String setting, Class<?>... classes) throws Exception {
        AccessToken token = Given.token("db:read", Given.AUDIENCE);
        try (var running = start(configuration, classes, setting)) {
            expect("no server", ask("/db", token).statusCode(), 503);
        }
    }

    /** Returns a token that opens /db. */
    private static AccessToken checkScopes(String otherAudience) throws Exception {
        AccessToken token = Given.token("db:read", Given.AUDIENCE);
        expectAnswer("/db", null, 401, "Bearer");
        expectAnswer("/db", token, 200, "");
        expectAnswer("/files", token, 403, LACKS_SCOPE);
        expectAnswer("/files", Given.token("files:read", Given.AUDIENCE), 200, "");
        expectAnswer("/db", Given.token("db:read", "https://other.example"), 401, otherAudience);
        return token;
    }

    private static ConfigurableApplicationContext start(String configuration, Class<?>... classes) {
        return start(configuration, classes, "");
    }

    private static ConfigurableApplicationContext start(String configuration, Class<?>[] classes, String setting) {
        var running = new SpringApplicationBuilder(classes).run(
                setting, "--spring.config.name=" + configuration, "--spring.main.banner-mode=off",
                "--server.address=127.0.0.1", "--server.port=0", "--revocations.poll=100ms",
                "--logging.level.root=warn");
        service = "http://127.0.0.1:" + running.getEnvironment().getProperty("local.server.port");
        return running;
    }

    private static HttpResponse<String> ask(String path, AccessToken token)
            throws IOException, InterruptedException {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(service + path));
        if (token != null) {
            request.header("Authorization", token.toAuthorizationHeader());
        }
        return CLIENT.send(request.build(), HttpResponse.BodyHandlers.ofString());
    }

    /** Checks a response. The challenge of a refusal must give the reason. */
    private static void expectAnswer(String path, AccessToken token, int status, String why)
            throws IOException, InterruptedException {
        HttpResponse<String> response = ask(path, token);
        String challenge = response.headers().firstValue("WWW-Authenticate").orElse("");
        expect(path + " " + challenge, response.statusCode(), status);
        expect(challenge + " tells " + why, challenge.contains(why), true);
        if (status == 200) {
            expect(path, response.body(), "hello");
        }
    }
}
