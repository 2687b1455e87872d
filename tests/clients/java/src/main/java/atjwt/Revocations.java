// recipe: revocations
package atjwt;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.scheduling.annotation.Scheduled;
import org.springframework.security.oauth2.core.OAuth2Error;
import org.springframework.security.oauth2.core.OAuth2TokenValidator;
import org.springframework.security.oauth2.core.OAuth2TokenValidatorResult;
import org.springframework.security.oauth2.jwt.Jwt;
import org.springframework.web.client.RestClient;

/** Refuses revoked tokens, one poll after their revocation at the latest. */
class Revocations implements OAuth2TokenValidator<Jwt> {
    record Agent(String agent, long epoch) {}

    record Document(
            @JsonProperty("revoked_jtis") Set<String> tokens,
            @JsonProperty("revoked_agents") List<Agent> agents) {}

    record Known(String etag, Set<String> tokens, Map<String, Long> epochs) {}

    private final RestClient server;
    private volatile Known known = new Known("", Set.of(), Map.of());

    Revocations(@Value("${spring.security.oauth2.resourceserver.jwt.issuer-uri}") String issuer) {
        server = RestClient.create(issuer);
        refresh(); // a service that cannot know what is revoked does not start
    }

    @Scheduled(initialDelayString = "${revocations.poll:15s}", fixedDelayString = "${revocations.poll:15s}")
    final void refresh() {
        var answer = server.get().uri("/api/v1/token/revoked")
                .header("If-None-Match", known.etag())
                .retrieve().toEntity(Document.class);
        Document list = answer.getBody();
        if (list != null) { // 304 has none
            known = new Known(answer.getHeaders().getETag(), list.tokens(), list.agents().stream()
                    .collect(Collectors.toMap(Agent::agent, Agent::epoch)));
        }
    }

    @Override
    public OAuth2TokenValidatorResult validate(Jwt token) {
        Known now = known;
        long least = now.epochs().getOrDefault(hash(token.getClaimAsString("client_id")), 0L);
        long epoch = token.<Number>getClaim("epoch").longValue();
        if (now.tokens().contains(token.getId()) || epoch < least) {
            return OAuth2TokenValidatorResult.failure(
                    new OAuth2Error("invalid_token", "The token is revoked", null));
        }
        return OAuth2TokenValidatorResult.success();
    }

    private static String hash(String clientId) {
        try {
            byte[] sum = MessageDigest.getInstance("SHA-256")
                    .digest(clientId.getBytes(StandardCharsets.UTF_8));
            return Base64.getUrlEncoder().withoutPadding().encodeToString(sum);
        } catch (NoSuchAlgorithmException impossible) { // every Java has it
            throw new IllegalStateException(impossible);
        }
    }
}
// end of recipe
