//! Which scope opens which route of the management API for whom: the matrix of scopes, routes,
//! methods, and who asks about which agent, compared with a written table (`matrix.txt`).

use std::collections::BTreeSet;

use futures_util::future::join_all;
use sealwright::testing::domain::scope::BUILT_IN;
use sealwright::testing::http::manage::MANAGE_ROUTES;
use serde_json::{Value, json};

use super::on_both;
use crate::harness::answer::Answer;
use crate::harness::app::{AGENTS, Agent, TestApp, bearer};
use crate::journal::kit::{ledger, log_all};

on_both! {
    every_cell_of_the_matrix_is_as_the_table_says,
}

const TABLE: &str = include_str!("matrix.txt");

/// A scope that opens nothing here.
const FOREIGN_SCOPE: &str = "db:read";
/// A scope of the catalogue that no agent holds.
const SPARE_SCOPE: &str = "spare:read";
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// Who asks about which agent: the columns of the table.
#[derive(Debug, Clone, Copy)]
enum Relation {
    Own,
    Same,
    Another,
    AdminOfOneOwn,
    AdminOfOneAnother,
    AdminOfDefaultOwn,
    AdminOfDefaultAnother,
}

const RELATIONS: [Relation; 7] = [
    Relation::Own,
    Relation::Same,
    Relation::Another,
    Relation::AdminOfOneOwn,
    Relation::AdminOfOneAnother,
    Relation::AdminOfDefaultOwn,
    Relation::AdminOfDefaultAnother,
];

/// One block of the table.
struct Block {
    method: &'static str,
    path: &'static str,
    body: &'static str,
    /// The scopes of the lines, and the statuses of their columns.
    lines: Vec<(&'static str, Vec<u16>)>,
}

impl Block {
    /// The statuses for callers with this scope.
    fn statuses(&self, scope: &str) -> &[u16] {
        let line = |name: &str| self.lines.iter().find(|(scope, _)| *scope == name);
        let line = line(scope).or_else(|| line("others"));
        &line.expect("each block has a line for `others`").1
    }

    /// The row of the route has this method.
    fn answers(&self, method: &str) -> bool {
        self.method == method || (self.method, method) == ("GET", "HEAD")
    }
}

fn table() -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    for line in lines.filter(|line| !line.is_empty()) {
        if let Some(line) = line.strip_prefix("  ") {
            let mut words = line.split_whitespace();
            let scope = words.next().unwrap();
            let statuses: Vec<u16> = words.map(|word| word.parse().unwrap()).collect();
            assert_eq!(statuses.len(), RELATIONS.len(), "{line}");
            blocks.last_mut().unwrap().lines.push((scope, statuses));
        } else {
            let mut words = line.splitn(3, ' ');
            let [method, path, body] = [(); 3].map(|()| words.next().unwrap_or_default());
            let lines = vec![];
            blocks.push(Block {
                method,
                path,
                body,
                lines,
            });
        }
    }
    blocks
}

#[test]
fn the_table_has_a_block_for_each_route_and_no_other() {
    let routes: BTreeSet<(&str, &str)> = MANAGE_ROUTES
        .iter()
        .map(|route| (route.methods.names()[0], route.path))
        .collect();
    let table = table();
    let blocks: BTreeSet<(&str, &str)> = table.iter().map(|b| (b.method, b.path)).collect();
    assert_eq!(blocks.len(), table.len(), "a route has two blocks");
    assert_eq!(routes, blocks, "the routes, and those of matrix.txt");
    for block in &table {
        let known = |name: &str| BUILT_IN.iter().any(|scope| scope.name == name);
        for (scope, _) in &block.lines {
            assert!(known(scope) || *scope == "others", "{scope}");
        }
    }
}

/// The ids of an agent that is asked about.
struct Target {
    agent: String,
    credential: String,
    /// The event of its creation.
    event: String,
    /// Its organization.
    org: String,
    /// A partner of its organization.
    partner: String,
}

impl Target {
    async fn of(app: &TestApp<'_>, reader: &str, agent: &Agent) -> Self {
        let shown = app.get_as(reader, &format!("{AGENTS}/{}", agent.id)).await;
        let credential = &shown.json()["credentials"][0]["credentialId"];
        let of_agent = format!("agent_id = '{}' and kind = 'agent.created'", agent.id);
        let event = format!("select id from audit_event where {of_agent}");
        Self {
            agent: agent.id.clone(),
            credential: credential.as_str().unwrap().to_owned(),
            event: app.database.number(&event).await.to_string(),
            partner: partner_of(app, reader, &shown.text("orgId")).await,
            org: shown.text("orgId"),
        }
    }

    /// The path of a route about this agent.
    fn path(&self, route: &str) -> String {
        let id = if route.starts_with("/api/v1/audit/") {
            &self.event
        } else if route.starts_with("/api/v1/orgs/") {
            &self.org
        } else if route.starts_with("/api/v1/partners/") {
            &self.partner
        } else {
            &self.agent
        };
        let parts = [
            ("{id}", id.as_str()),
            ("{credentialId}", &self.credential),
            ("{scope}", SPARE_SCOPE),
            ("{*file}", "checkpoint"),
            ("{verifier}", "agent%2Fservice%2Finstance"),
        ];
        parts.iter().fold(route.to_owned(), |path, (name, value)| {
            path.replace(name, value)
        })
    }
}

/// The partner of this organization, which is made if there is none.
async fn partner_of(app: &TestApp<'_>, admin: &str, org: &str) -> String {
    let headers = [
        ("authorization", admin),
        ("content-type", "application/json"),
    ];
    let body = json!({
        "name": "n", "orgId": org, "preset": "generic", "issuer": "https://k8s.example",
        "jwksUri": "https://k8s.example/keys",
    });
    let made = app
        .send(
            "POST",
            "/api/v1/partners",
            &headers,
            body.to_string().into(),
        )
        .await;
    if made.status == 201 {
        return made.text("partnerId");
    }
    made.is_management_error(409, "PARTNER_EXISTS");
    let listed = app.get_as(admin, "/api/v1/partners").await.json();
    let mut listed = listed["data"].as_array().unwrap().iter();
    let found = listed.find(|partner| partner["orgId"] == org).unwrap();
    found["partnerId"].as_str().unwrap().to_owned()
}

/// Callers with one scope.
struct Callers {
    scope: &'static str,
    /// A caller of `default`, and what is asked about it as its own agent.
    own: (String, Target),
    another: String,
    admin_of_one: String,
    admin_of_default: String,
}

/// The callers with each scope, and the agents in `default` and elsewhere that they ask about.
struct Stage {
    callers: Vec<Callers>,
    here: Target,
    there: Target,
    /// No agent, and nothing else, has these names.
    nobody: Target,
}

impl Stage {
    async fn build(app: &TestApp<'_>) -> Self {
        app.add_scope(FOREIGN_SCOPE).await;
        app.add_scope(SPARE_SCOPE).await;
        let here = app.agent_named("d-target", "").await;
        let there = app.agent_named("o-target", "").await;
        let mut made = Vec::new();
        let built_in = BUILT_IN.iter().map(|built_in| built_in.name);
        for (number, scope) in built_in.chain([FOREIGN_SCOPE]).enumerate() {
            let both = format!("{scope} admin:orgs");
            let agents = [
                app.agent_named(&format!("d-caller-{number}"), scope).await,
                app.agent_named(&format!("o-caller-{number}"), scope).await,
                app.agent_named(&format!("o-admin-{number}"), &both).await,
                app.agent_named(&format!("d-admin-{number}"), &both).await,
            ];
            made.push((scope, agents));
        }
        for sql in [
            "insert into org (org_id, name, created_at) values ('other', 'other', 0)",
            "update agent set org_id = 'other', version = version + 1 where agent_id like 'o-%'",
            "update audit_event set org_id = 'other' where agent_id like 'o-%'",
        ] {
            app.database.execute(sql).await;
        }
        log_all(app, &mut ledger(app)).await;
        let reader = app.agent("agents:read admin:orgs").await;
        let reader = bearer(&app.token(&reader).await);
        let mut callers = Vec::new();
        for (scope, [own, another, admin_of_one, admin_of_default]) in &made {
            callers.push(Callers {
                scope,
                own: (
                    bearer(&app.token(own).await),
                    Target::of(app, &reader, own).await,
                ),
                another: bearer(&app.token(another).await),
                admin_of_one: bearer(&app.token(admin_of_one).await),
                admin_of_default: bearer(&app.token(admin_of_default).await),
            });
        }
        Self {
            callers,
            here: Target::of(app, &reader, &here).await,
            there: Target::of(app, &reader, &there).await,
            nobody: Target {
                agent: "nobody".to_owned(),
                credential: "00000000-0000-4000-8000-000000000000".to_owned(),
                event: "9007199254740991".to_owned(),
                org: "nowhere".to_owned(),
                partner: "00000000-0000-4000-8000-000000000000".to_owned(),
            },
        }
    }

    /// Who asks, and about which agent.
    fn parts<'s>(&'s self, callers: &'s Callers, relation: Relation) -> (&'s str, &'s Target) {
        match relation {
            Relation::Own => (&callers.own.0, &callers.own.1),
            Relation::Same => (&callers.own.0, &self.here),
            Relation::Another => (&callers.another, &self.here),
            Relation::AdminOfOneOwn => (&callers.admin_of_one, &self.there),
            Relation::AdminOfOneAnother => (&callers.admin_of_one, &self.here),
            Relation::AdminOfDefaultOwn => (&callers.admin_of_default, &self.here),
            Relation::AdminOfDefaultAnother => (&callers.admin_of_default, &self.there),
        }
    }
}

async fn send(
    app: &TestApp<'_>,
    (method, block): (&str, &Block),
    token: Option<&str>,
    target: &Target,
) -> Answer {
    let path = target.path(block.path);
    // Nothing is changed, so that the cells do not depend on one another.
    let path = if block.method == "GET" {
        path
    } else {
        format!("{path}?dryRun=true")
    };
    let mut headers = vec![];
    headers.extend(token.map(|token| ("authorization", token)));
    if !block.body.is_empty() {
        headers.push(("content-type", "application/json"));
    }
    loop {
        let answer = app.send(method, &path, &headers, block.body.into()).await;
        // A slow machine may be too busy to hash a new secret in time.
        if answer.status != 503 {
            return answer;
        }
    }
}

/// What a reply says, without the id of its request.
fn said(answer: &Answer) -> Value {
    let mut body = answer.json();
    body["details"]["requestId"].take();
    body
}

/// The cells in which the callers with one scope are answered otherwise than the table says.
async fn row(
    app: &TestApp<'_>,
    request: (&str, &Block),
    stage: &Stage,
    callers: &Callers,
) -> Vec<String> {
    let (method, block) = request;
    let place = format!("{method} {} {}", block.path, callers.scope);
    let mut wrong = Vec::new();
    let statuses = block.statuses(callers.scope);
    for (relation, status) in RELATIONS.into_iter().zip(statuses) {
        let (token, target) = stage.parts(callers, relation);
        let answer = send(app, request, Some(token), target).await;
        if answer.status != *status {
            let Answer {
                status: is, body, ..
            } = &answer;
            wrong.push(format!(
                "{place} {relation:?}: written {status}, is {is} {body}"
            ));
        }
        // What is out of reach is answered as what does not exist.
        if answer.status == 404 && method != "HEAD" {
            let unknown = send(app, request, Some(token), &stage.nobody).await;
            assert_eq!(said(&answer), said(&unknown), "{place} {relation:?}");
        }
    }
    wrong
}

async fn every_cell_of_the_matrix_is_as_the_table_says(app: &TestApp<'_>) {
    let stage = Stage::build(app).await;
    let table = table();
    let (mut wrong, mut cells) = (Vec::new(), 0);
    for block in &table {
        let answered = METHODS.iter().filter(|method| block.answers(method));
        for method in answered {
            let request = (*method, block);
            let answer = send(app, request, None, &stage.here).await;
            assert_eq!(answer.status, 401, "{method} {}", block.path);
            let rows = stage.callers.iter();
            let rows = rows.map(|callers| row(app, request, &stage, callers));
            for found in join_all(rows).await {
                cells += RELATIONS.len();
                wrong.extend(found);
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {cells} cells:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    let paths: BTreeSet<&str> = table.iter().map(|block| block.path).collect();
    for path in paths {
        for method in METHODS {
            let of_path = || table.iter().filter(|block| block.path == path);
            if of_path().any(|block| block.answers(method)) {
                continue;
            }
            let block = of_path().next().unwrap();
            for callers in &stage.callers {
                let token = Some(callers.admin_of_default.as_str());
                let answer = send(app, (method, block), token, &stage.here).await;
                assert_eq!(answer.status, 405, "{method} {path}");
            }
        }
    }
}
