//! The agents of the search: the bystanders, which live through all sequences, and the caller with
//! everything that it has got hold of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sealwright::testing::domain::agent::{Agent as StoredAgent, AgentStatus, SuspendedBy};
use sealwright::testing::domain::id::AgentId;
use sealwright::testing::domain::org::OrgId;
use sealwright::testing::service::manage::agents::NewAgent;
use sealwright::testing::store::{AgentRecord, Freshness};
use serde_json::Value;

use super::requests::{ChangeRequest, Names};
use super::sample::{
    AUDIENCES, Dice, REDIRECT_URIS, SCOPES, Sample, USERS, excess, excess_of_claims,
};
use crate::harness::answer::Answer;
use crate::harness::app::{Agent, ISSUER, OAUTH_TOKEN, TOKEN, TestApp, bearer, claims, encode};
use crate::harness::database::Database;
use crate::harness::patience::until_hashed;
use crate::http::airisk::{AUTHORIZE, EXCHANGE};

const BYSTANDERS: usize = 10;
/// How many of them are made anew for each caller and have less than it.
const LESSER: usize = 2;
/// How many characters the start of a generated secret, and a whole one, have at least.
const SECRET_PREFIX: &str = "sw_";
const MIN_SECRET: usize = 30;

/// The organization besides `default`.
const OTHER: &str = "other";

/// A partner of `default`, which serves all agents.
const PARTNER: &str = "11111111-1111-4111-8111-111111111111";

/// How many partners of `default` there are besides the one that was made first, or that it is another
/// one now.
const PARTNERS_OF_DEFAULT: &str = "select abs(count(*) - 1) + abs(sum(version) - 1) from partner
    where org_id = 'default' and status = 'active' and name = 'n'";

/// How many organizations are not as they were made, or were made since.
const CHANGED_ORGS: &str = "select count(*) from org
    where status <> 'active' or epoch <> 0 or version <> 1 or scopes is not null or org_id not in ('default', 'other')";

/// How many scopes are missing or new.
const CHANGED_SCOPES: &str = "select count(*) from scope where description in ('New', 'Changed')";

/// How many requests had which end.
#[derive(Debug, Default)]
pub struct Counts {
    pub accepted: u64,
    pub refused: u64,
    pub tokens: u64,
    pub secrets: u64,
    /// How many keys and trusts in a platform were given.
    pub trusts: u64,
    /// By method and route, and by status.
    pub statuses: BTreeMap<(String, u16), u64>,
}

/// What the caller has got hold of.
struct Attack {
    /// Which run this is, for messages.
    place: String,
    /// What the caller has: the bound of everything that it may ever get.
    sample: Sample,
    bound: StoredAgent,
    /// Each agent of which it has had a secret, with all secrets.
    held: BTreeMap<String, Vec<String>>,
    /// Each agent to which it gave a key, or the trust in a platform that it may control.
    trusting: BTreeSet<String>,
    tokens: Vec<String>,
    /// All agents, and all credentials, that it knows.
    known: Vec<String>,
    credentials: Vec<(String, String)>,
    sent: Vec<ChangeRequest>,
}

pub struct World<'a> {
    app: &'a TestApp<'a>,
    dice: Dice,
    /// The agents that others made.
    bystanders: Vec<String>,
    /// How they were when the sequence began.
    before: Vec<Arc<AgentRecord>>,
    attack: Option<Attack>,
    pub counts: Counts,
}

impl<'a> World<'a> {
    pub async fn build(app: &'a TestApp<'a>, dice: Dice) -> Self {
        for scope in ["db:read", "db:write"] {
            app.add_scope(scope).await;
        }
        let org = "insert into org (org_id, name, created_at) values ('other', 'other', 0)";
        app.database.execute(org).await;
        let id = match app.database {
            Database::Sqlite { .. } => format!("x'{}'", PARTNER.replace('-', "")),
            Database::Postgres { .. } => format!("'{PARTNER}'"),
        };
        let partner = format!(
            "insert into partner (partner_id, org_id, name, issuer, jwks_uri, required_claims, max_age, status, version,
                                  created_at, updated_at)
             values ({id}, 'default', 'n', 'https://ci.example', 'https://ci.example/keys',
                     '[\"/repository_owner_id\"]', 600, 'active', 1, 0, 0)"
        );
        app.database.execute(&partner).await;
        Self {
            app,
            dice,
            bystanders: vec![],
            before: vec![],
            attack: None,
            counts: Counts::default(),
        }
    }

    async fn make(&self, sample: &Sample, org: Option<&str>) -> Agent {
        let new = NewAgent {
            org_id: org.map(|org| OrgId::parse(org).unwrap()),
            agent_id: None,
            secret: None,
            profile: sample.profile(),
        };
        let operator = self.app.opened.operator();
        let agents = self.app.agents();
        let made = until_hashed(async || agents.create(new.clone(), &operator).await).await;
        Agent {
            id: made.agent_id.to_string(),
            secret: made.secret.unwrap().expose().to_owned(),
        }
    }

    /// An agent as the store has it now.
    async fn read(&self, agent_id: &str) -> Option<Arc<AgentRecord>> {
        // A random id may be none.
        let agent_id = AgentId::parse(agent_id).ok()?;
        let store = &self.app.opened.store;
        store.agent(&agent_id, Freshness::Fresh).await.unwrap()
    }

    /// Begins a sequence with a caller of its own. Agents that were stopped are replaced or started
    /// again, now and then.
    pub async fn begin(&mut self, place: String) {
        let now = self.app.clock.now();
        let mut kept = Vec::new();
        for agent_id in std::mem::take(&mut self.bystanders) {
            let agent = self.read(&agent_id).await.unwrap().agent.clone();
            if agent.status == AgentStatus::Decommissioned || self.dice.one_in(12) {
                continue;
            }
            let known = Agent {
                id: agent_id.clone(),
                secret: String::new(),
            };
            match (agent.status, self.dice.below(6)) {
                (AgentStatus::Suspended, 0..3) => self.app.reactivate(&known).await,
                (AgentStatus::Active, 0) => self.app.suspend(&known).await,
                _ => {}
            }
            kept.push(agent_id);
        }
        let mut sample = Sample::random(&mut self.dice, now);
        let low = self.dice.any(&["agents:read", "tokens:read", "db:read"]);
        sample.scopes = vec!["agents:write", low];
        // Now and then it is an admin, of the organization that is not the first one.
        let own_org = self.dice.one_in(3).then_some(OTHER);
        if own_org.is_some() {
            sample.scopes.push("admin:orgs");
        }
        // Its tokens must be for this server.
        if !sample.audiences.is_empty() && !sample.audiences.contains(&ISSUER) {
            sample.audiences.push(ISSUER);
        }
        while kept.len() < BYSTANDERS - LESSER {
            let drawn = if self.dice.one_in(2) {
                sample.like(&mut self.dice, now)
            } else {
                Sample::random(&mut self.dice, now)
            };
            let org = self.dice.one_in(4).then_some(OTHER);
            kept.push(self.make(&drawn, org).await.id);
        }
        kept.truncate(BYSTANDERS - LESSER);
        // The caller has all that these have, so only who suspended them keeps them so.
        for _ in 0..LESSER {
            let drawn = sample.part(&mut self.dice);
            let made = self.make(&drawn, own_org).await;
            if self.dice.one_in(2) {
                self.app.suspend(&made).await;
            }
            kept.push(made.id);
        }
        self.bystanders = kept;
        self.before = vec![];
        for agent_id in self.bystanders.clone() {
            let record = self.read(&agent_id).await.unwrap();
            self.before.push(record);
        }
        let caller = self.make(&sample, own_org).await;
        let bound = self.read(&caller.id).await.unwrap().agent.clone();
        let for_here = format!("audience={}", encode(ISSUER));
        let token = self.app.token_with(&caller, &for_here).await;
        let mut credentials = Vec::new();
        let caller_now = self.read(&caller.id).await;
        for record in self.before.iter().chain(&caller_now) {
            let agent_id = record.agent.agent_id.to_string();
            let ids = record
                .credentials
                .iter()
                .map(|c| c.credential_id.to_string());
            credentials.extend(ids.map(|id| (agent_id.clone(), id)));
        }
        let mut known = self.bystanders.clone();
        known.extend([caller.id.clone(), "nobody".to_owned()]);
        self.attack = Some(Attack {
            place,
            sample,
            bound,
            held: BTreeMap::from([(caller.id, vec![caller.secret])]),
            trusting: BTreeSet::new(),
            tokens: vec![token],
            known,
            credentials,
            sent: vec![],
        });
    }

    fn attack(&mut self) -> &mut Attack {
        self.attack.as_mut().unwrap()
    }

    /// Sends one request, and checks what came of it.
    pub async fn step(&mut self) {
        match self.dice.below(8) {
            0 | 1 => self.ask_for_token().await,
            2 => self.exchange_code().await,
            _ => self.send_change().await,
        }
    }

    async fn send_change(&mut self) {
        let mut known = self.attack().known.clone();
        // Agents that it made itself, and itself, are tried more often.
        let held: Vec<String> = self.attack().held.keys().cloned().collect();
        for _ in 0..4 {
            known.extend_from_slice(&held);
        }
        let now = self.app.clock.now();
        let (dice, attack) = (&mut self.dice, self.attack.as_mut().unwrap());
        let change = if !attack.sent.is_empty() && dice.one_in(6) {
            dice.pick(&attack.sent).clone()
        } else {
            let names = Names {
                agents: &known,
                credentials: &attack.credentials,
                own: &attack.sample,
                partner: PARTNER,
                now,
            };
            let mut change = ChangeRequest::random(dice, &names);
            // A sequence is over when the caller has stopped itself.
            while change.stops(attack.bound.agent_id.as_str()) && !dice.one_in(10) {
                change = ChangeRequest::random(dice, &names);
            }
            change
        };
        let token = if dice.one_in(3) {
            dice.pick(&attack.tokens)
        } else {
            attack.tokens.last().unwrap()
        };
        let actor = claims(token);
        let token = bearer(token);
        let mut headers = vec![("authorization", token.as_str())];
        headers.extend(change.headers.iter().map(|(name, value)| (*name, &**value)));
        let body = change.body.clone().into();
        let answer = self
            .app
            .send(change.method, &change.path, &headers, body)
            .await;
        attack.sent.push(change.clone());
        *self
            .counts
            .statuses
            .entry((change.kind.clone(), answer.status))
            .or_default() += 1;
        // A slow machine may be too busy to hash a new secret in time.
        assert!(
            answer.status < 500 || answer.status == 503,
            "{}: {change:?}: {answer:?}",
            attack.place
        );
        if answer.status >= 300 {
            self.counts.refused += 1;
        } else {
            self.counts.accepted += 1;
            self.learn(&actor, &change, &answer).await;
        }
    }

    /// Keeps the secrets of a reply to a token with the claims `actor`, and checks all agents of which
    /// there are any.
    async fn learn(&mut self, actor: &Value, change: &ChangeRequest, answer: &Answer) {
        let attack = self.attack.as_mut().unwrap();
        let place = format!("{}: {} {}", attack.place, change.method, change.path);
        let shown: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let is_about_agents = change.path.starts_with("/api/v1/agents");
        let makes_own_partner = attack.is_admin()
            && change.path.starts_with("/api/v1/partners")
            && shown["orgId"] == OTHER;
        let is_its_own = is_about_agents || makes_own_partner;
        assert!(is_its_own, "{place}: {answer:?}");
        let agent_id = match shown["agentId"].as_str() {
            Some(agent_id) => agent_id.to_owned(),
            None => change.agent.clone().unwrap_or_default(),
        };
        if !change.is_dry_run && !attack.known.contains(&agent_id) && !agent_id.is_empty() {
            attack.known.push(agent_id.clone());
        }
        if let Some(credential) = shown["credentialId"].as_str() {
            let pair = (agent_id.clone(), credential.to_owned());
            attack.credentials.push(pair);
        }
        let is_proof = shown["kind"] == "federated" || shown["kind"] == "publicKey";
        if is_proof && !change.is_dry_run {
            // Without an admin scope an agent gives itself nothing that proves it without a secret.
            let scopes = actor["scope"].as_str().unwrap_or_default();
            let may_be = scopes.contains("admin:orgs") || actor["client_id"] != agent_id.as_str();
            assert!(may_be, "{place} by {actor}: {answer:?}");
            attack.trusting.insert(agent_id.clone());
            self.counts.trusts += 1;
        }
        let mut secrets = Vec::new();
        secrets_of(&shown, &mut secrets);
        assert!(
            secrets.is_empty() || !change.is_dry_run,
            "{place}: {answer:?}"
        );
        for secret in secrets {
            let held = attack.held.entry(agent_id.clone()).or_default();
            self.counts.secrets += u64::from(!held.contains(&secret));
            held.push(secret);
        }
        self.check_held(&place).await;
    }

    /// Demands that no agent of which there is a secret has more than the caller was given.
    async fn check_held(&mut self, place: &str) {
        let attack = self.attack.as_ref().unwrap();
        for agent_id in attack.held.keys().chain(&attack.trusting) {
            let found = self.read(agent_id).await;
            let agent = &found.unwrap_or_else(|| panic!("{place}: {agent_id}")).agent;
            let more = self.excess(agent);
            let (bound, sent) = (&attack.bound, &attack.sent);
            assert!(
                more.is_empty(),
                "{place}: {more:?}: {agent:?} beyond {bound:?} by {sent:#?}"
            );
        }
    }

    /// What the agent has that the caller could not give it. An admin gives everything in its
    /// organization, but never an admin scope.
    fn excess(&self, agent: &StoredAgent) -> Vec<&'static str> {
        let bound = &self.attack.as_ref().unwrap().bound;
        if !is_admin(bound) {
            return excess(agent, bound);
        }
        let same = |one: &&StoredAgent| one.agent_id == agent.agent_id;
        let mut known = self
            .before
            .iter()
            .map(|record| &record.agent)
            .chain([bound]);
        let was_admin = known.find(same).is_some_and(is_admin);
        let members = [
            ("orgId", agent.org_id == bound.org_id),
            ("scopes", was_admin || !is_admin(agent)),
        ];
        let exceeded = members.into_iter().filter(|(_, fits)| !fits);
        exceeded.map(|(member, _)| member).collect()
    }

    async fn ask_for_token(&mut self) {
        let agent = self.held_agent();
        let mut form = format!("grant_type=client_credentials&{}", agent.form());
        if self.dice.one_in(3) {
            let scopes = self.dice.some(&SCOPES).join(" ");
            form = format!("{form}&scope={}", encode(&scopes));
        }
        if !self.dice.one_in(4) {
            let audience = self.dice.any(&AUDIENCES);
            form = format!("{form}&audience={}", encode(audience));
        }
        let path = self.dice.any(&[TOKEN, TOKEN, OAUTH_TOKEN]);
        let answer = self.app.post(path, &form).await;
        self.keep_token(&agent, &answer);
    }

    /// Asks for a code of any agent, and exchanges it with a secret that it holds.
    async fn exchange_code(&mut self) {
        let agent = self.held_agent();
        let known = self.attack().known.clone();
        let client = if self.dice.one_in(2) {
            &agent.id
        } else {
            self.dice.pick(&known)
        };
        let uri = encode(self.dice.any(&REDIRECT_URIS));
        let user = if self.dice.one_in(3) {
            String::new()
        } else {
            format!("&userid={}", self.dice.any(&USERS))
        };
        let query = format!("client_id={}&redirect_uri={uri}{user}", encode(client));
        let sent_back = self.app.get(&format!("{AUTHORIZE}?{query}")).await;
        let location = sent_back.headers.get("location");
        let location = location.and_then(|value| url::Url::parse(value.to_str().ok()?).ok());
        let code = location.and_then(|location| {
            let mut pairs = location.query_pairs();
            let code = pairs.find(|(name, _)| name == "code");
            code.map(|(_, code)| code.into_owned())
        });
        let Some(code) = code else {
            return;
        };
        let form = format!(
            "{}&code={}&redirect_uri={uri}{user}",
            agent.form(),
            encode(&code)
        );
        let answer = self.app.post(EXCHANGE, &form).await;
        self.keep_token(&agent, &answer);
    }

    fn held_agent(&mut self) -> Agent {
        let attack = self.attack.as_ref().unwrap();
        let held: Vec<(&String, &Vec<String>)> = attack.held.iter().collect();
        let (id, secrets) = self.dice.pick(&held);
        Agent {
            id: (*id).clone(),
            secret: self.dice.pick(secrets).clone(),
        }
    }

    fn keep_token(&mut self, agent: &Agent, answer: &Answer) {
        if answer.status != 200 {
            return;
        }
        self.counts.tokens += 1;
        let attack = self.attack.as_mut().unwrap();
        let token = answer.text("access_token");
        let claims = claims(&token);
        let place = &attack.place;
        assert_eq!(claims["client_id"], agent.id.as_str(), "{place}: {claims}");
        let mut more = excess_of_claims(&claims, &attack.bound);
        if attack.is_admin() {
            more = vec![];
            more.extend((claims["org_id"] != OTHER).then_some("org_id"));
        }
        assert!(
            more.is_empty(),
            "{place}: {more:?}: {claims} beyond {:?}",
            attack.bound
        );
        // Others open nothing here.
        let audiences = claims["aud"].to_string();
        let scopes = claims["scope"].as_str().unwrap_or_default();
        if audiences.contains(ISSUER) && scopes.contains("agents:write") {
            attack.tokens.push(token);
        }
    }

    /// Demands that nothing but a stop reached the agents that have more than the caller, and that
    /// no stop of an operator was undone.
    pub async fn check_bystanders(&mut self) {
        let attack = self.attack.as_ref().unwrap();
        let place = &attack.place;
        for before in &self.before {
            let now = self.read(before.agent.agent_id.as_str()).await.unwrap();
            let (was, is) = (&before.agent, &now.agent);
            let sent = &attack.sent;
            let is_own = attack.is_admin() && was.org_id == attack.bound.org_id;
            if was.suspended_by == Some(SuspendedBy::Operator) && !is_own {
                assert_ne!(
                    is.status,
                    AgentStatus::Active,
                    "{place}: {was:?} by {sent:#?}"
                );
            }
            let is_away = was.org_id != attack.bound.org_id;
            if attack.is_admin() && !is_away {
                assert!(is_admin(was) || !is_admin(is), "{place}: by {sent:#?}");
                continue;
            }
            if excess(was, &attack.bound).is_empty() {
                continue;
            }
            if is_admin(was) || is_away {
                assert_eq!(before, &now, "{place}: by {sent:#?}");
                continue;
            }
            assert_eq!(was.profile, is.profile, "{place}: by {sent:#?}");
            assert_eq!(before.credentials, now.credentials, "{place}: by {sent:#?}");
            let stopped = is.status == AgentStatus::Suspended;
            assert!(
                is.status == was.status || stopped,
                "{place}: {is:?} by {sent:#?}"
            );
        }
        // What belongs to nobody's organization but the first one is as it was.
        for (what, sql) in [
            ("partner", PARTNERS_OF_DEFAULT),
            ("organization", CHANGED_ORGS),
            ("scope", CHANGED_SCOPES),
        ] {
            let sent = &attack.sent;
            let changed = self.app.database.number(sql).await;
            assert_eq!(changed, 0, "{place}: {what} by {sent:#?}");
        }
    }
}

fn is_admin(agent: &StoredAgent) -> bool {
    let mut scopes = agent.profile.terms.scopes.iter();
    scopes.any(|scope| scope.as_str() == "admin:orgs")
}

impl Attack {
    /// Whether the caller is an admin of its organization.
    fn is_admin(&self) -> bool {
        is_admin(&self.bound)
    }
}

/// Every text of a reply that looks like a generated secret.
fn secrets_of(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) if text.starts_with(SECRET_PREFIX) && text.len() >= MIN_SECRET => {
            into.push(text.clone());
        }
        Value::Object(members) => members.values().for_each(|member| secrets_of(member, into)),
        Value::Array(items) => items.iter().for_each(|item| secrets_of(item, into)),
        _ => {}
    }
}
