package check;

/** Runs one check, by its name in tests/clients/table. */
public final class Main {
    public static void main(String[] arguments) throws Exception {
        switch (arguments[0]) {
            case "tokens" -> Getting.check();
            case "nimbus" -> Nimbus.check();
            case "spring-at-jwt" -> Spring.checkAtJwt();
            case "spring-typ-jwt" -> Spring.checkTypJwt();
            case "spring-own-key" -> OwnKey.check();
            case "spring-introspection" -> Spring.checkIntrospection();
            default -> throw new IllegalArgumentException(arguments[0]);
        }
        // Pools of idle connections and threads would keep the process running for a while.
        System.exit(0);
    }
}
