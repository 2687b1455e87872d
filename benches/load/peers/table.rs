//! The servers of the comparison: which programs run, and what each records. Must not know how they
//! are started or measured.

/// A program that runs once for all of its rows.
pub struct Program {
    pub product: Product,
    /// What its start script makes of it, for example where it keeps its data.
    pub variant: &'static str,
    pub store: Store,
    pub instructions: Instructions,
    /// The most clients that it gets.
    pub clients: usize,
    pub endpoints: &'static [Endpoint],
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// The program that cargo built together with this one.
    Sealwright,
    /// A folder of `benches/peers`.
    Foreign(&'static str),
}

impl Product {
    /// Whether a JIT compiler makes the program faster while it runs. Such a program warms up for
    /// longer.
    pub fn is_compiled_while_it_runs(self) -> bool {
        matches!(self, Self::Foreign("keycloak" | "spring"))
    }
}

/// Where a program keeps what it records.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Store {
    Sqlite,
    Postgres,
    Memory,
}

impl Store {
    pub fn word(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "Postgres",
            Self::Memory => "memory",
        }
    }
}

/// Which instructions of the processor the program and its raw signature may use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Instructions {
    All,
    /// All but AVX512-IFMA, which makes an RSA signature twice as fast where there is an
    /// implementation for it.
    WithoutIfma,
}

/// The environment in which aws-lc and OpenSSL do without AVX512-IFMA: bit 21 of the second word of
/// what they ask the processor.
pub const WITHOUT_IFMA: (&str, &str) = ("OPENSSL_ia32cap", ":~0x200000");

/// A token endpoint, which is a row of the comparison.
pub struct Endpoint {
    pub name: &'static str,
    pub token_path: &'static str,
    pub keys_path: &'static str,
    /// What follows the program's own URL in the `iss` of a token.
    pub issuer_path: &'static str,
    /// Counts the rows that tokens of this endpoint have left.
    pub counted_by: Option<&'static str>,
}

const SEALWRIGHT: Endpoint = Endpoint {
    name: "Sealwright",
    token_path: "/api/v1/token",
    keys_path: "/.well-known/jwks.json",
    issuer_path: "",
    counted_by: Some("select count(*) from token_event"),
};

const SPRING: Endpoint = Endpoint {
    name: "Spring Authorization Server",
    token_path: "/oauth2/token",
    keys_path: "/oauth2/jwks",
    issuer_path: "",
    counted_by: Some("select count(*) from oauth2_authorization"),
};

const NODE: Endpoint = Endpoint {
    name: "oidc-provider",
    token_path: "/token",
    keys_path: "/jwks",
    issuer_path: "",
    counted_by: None,
};

/// The number of clients of a program, in turn. Each asks with its own secret.
pub const CLIENTS: usize = 256;

const SEALWRIGHT_SQLITE: Program = Program {
    product: Product::Sealwright,
    variant: "",
    store: Store::Sqlite,
    instructions: Instructions::All,
    clients: CLIENTS,
    endpoints: &[SEALWRIGHT],
};

const SPRING_POSTGRES: Program = Program {
    product: Product::Foreign("spring"),
    variant: "postgres plain",
    store: Store::Postgres,
    instructions: Instructions::All,
    clients: CLIENTS,
    endpoints: &[SPRING],
};

const NODE_MEMORY: Program = Program {
    product: Product::Foreign("node"),
    variant: "",
    store: Store::Memory,
    instructions: Instructions::All,
    clients: CLIENTS,
    endpoints: &[NODE],
};

pub const PROGRAMS: &[Program] = &[
    SEALWRIGHT_SQLITE,
    Program {
        store: Store::Postgres,
        ..SEALWRIGHT_SQLITE
    },
    Program {
        product: Product::Foreign("keycloak"),
        variant: "",
        store: Store::Postgres,
        instructions: Instructions::All,
        clients: CLIENTS,
        endpoints: &[
            Endpoint {
                name: "Keycloak",
                token_path: "/realms/plain/protocol/openid-connect/token",
                keys_path: "/realms/plain/protocol/openid-connect/certs",
                issuer_path: "/realms/plain",
                counted_by: Some(
                    "select count(*) from event_entity \
                     where realm_id = (select id from realm where name = 'plain')",
                ),
            },
            Endpoint {
                name: "Keycloak, events saved",
                token_path: "/realms/events/protocol/openid-connect/token",
                keys_path: "/realms/events/protocol/openid-connect/certs",
                issuer_path: "/realms/events",
                counted_by: Some(
                    "select count(*) from event_entity \
                     where realm_id = (select id from realm where name = 'events')",
                ),
            },
        ],
    },
    Program {
        variant: "memory plain",
        store: Store::Memory,
        endpoints: &[Endpoint {
            counted_by: None,
            ..SPRING
        }],
        ..SPRING_POSTGRES
    },
    SPRING_POSTGRES,
    // Each request hashes its secret anew, so that a few clients cost as much as many.
    Program {
        variant: "postgres bcrypt",
        clients: 16,
        endpoints: &[Endpoint {
            name: "Spring Authorization Server, secrets hashed",
            ..SPRING
        }],
        ..SPRING_POSTGRES
    },
    NODE_MEMORY,
    Program {
        instructions: Instructions::WithoutIfma,
        ..SEALWRIGHT_SQLITE
    },
    Program {
        store: Store::Postgres,
        instructions: Instructions::WithoutIfma,
        ..SEALWRIGHT_SQLITE
    },
    Program {
        instructions: Instructions::WithoutIfma,
        ..NODE_MEMORY
    },
];

impl Program {
    /// A row's name, in full.
    pub fn name_of(&self, endpoint: &Endpoint) -> String {
        let without = match self.instructions {
            Instructions::All => "",
            Instructions::WithoutIfma => ", without AVX512-IFMA",
        };
        format!("{}, {}{without}", endpoint.name, self.store.word())
    }
}
