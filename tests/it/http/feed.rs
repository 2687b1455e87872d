//! The feed: what came after a version of the revocation list, and requests that wait for news.

use std::collections::BTreeMap;
use std::io::Read;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealwright::testing::domain::ttl::Ttl;
use serde_json::{Value, json};

use super::on_both;
use crate::harness::answer::Answer;
use crate::harness::app::{Agent, NOW, REVOKED, TestApp, bearer, claims, header, wait_until};

on_both! {
    a_delta_has_what_came_after_the_version,
    every_entry_says_until_when_it_matters,
    a_version_that_was_never_given_gets_the_whole_list,
    a_version_of_another_process_is_known_after_the_next_look,
    a_since_or_a_wait_that_is_no_number_in_range_is_refused,
    a_query_of_others_is_ignored,
    a_key_that_leaked_is_named_until_its_last_token_has_expired,
    a_long_delta_is_packed_once_and_has_its_own_tag,
    any_sequence_of_deltas_equals_the_list,
}

pub(super) fn jti(token: &str) -> Value {
    claims(token)["jti"].clone()
}

fn hashed(id: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, id.as_bytes()))
}

async fn since(app: &TestApp<'_>, version: &Value) -> Answer {
    app.get(&format!("{REVOKED}?since={version}")).await
}

pub(super) async fn version(app: &TestApp<'_>) -> Value {
    app.get(REVOKED).await.json()["version"].clone()
}

/// Revokes one token of an agent of its own.
pub(super) async fn revoke_one(app: &TestApp<'_>) -> (Agent, Value) {
    let agent = app.agent("tokens:read").await;
    let token = app.token(&agent).await;
    app.revoke(&agent, &token).await;
    (agent, jti(&token))
}

#[track_caller]
pub(super) fn is_a_delta(answer: &Answer) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.keys(),
        [
            "since",
            "version",
            "revoked_tokens",
            "revoked_agents",
            "revoked_orgs",
            "revoked_keys"
        ]
    );
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-cache");
    assert_eq!(answer.header("vary"), "Accept-Encoding");
}

async fn a_delta_has_what_came_after_the_version(app: &TestApp<'_>) {
    let (_, first) = revoke_one(app).await;
    let v0 = version(app).await;
    let (agent, second) = revoke_one(app).await;
    let token = app.token(&agent).await;
    app.suspend(&agent).await;
    app.state.list.refresh().await.unwrap();
    let listed = app.get(REVOKED).await;
    let delta = since(app, &v0).await;
    is_a_delta(&delta);
    let (delta, v1) = (delta.json(), version(app).await);
    assert_eq!((&delta["since"], &delta["version"]), (&v0, &v1));
    assert_eq!(
        delta["revoked_tokens"],
        json!([{"jti": second, "exp": NOW.0 + 600}])
    );
    // The killed agent's own tokens are covered by its entry.
    assert!(listed.body.contains(jti(&token).as_str().unwrap()));
    let entry = &delta["revoked_agents"][0];
    assert_eq!(entry["agent"], hashed(&agent.id));
    assert_eq!(entry["epoch"], listed.json()["revoked_agents"][0]["epoch"]);
    assert_eq!(
        (&delta["revoked_orgs"], &delta["revoked_keys"]),
        (&json!([]), &json!([]))
    );
    let nothing = since(app, &v1).await;
    assert_eq!(
        nothing.body,
        format!(
            r#"{{"since":{v1},"version":{v1},"revoked_tokens":[],"revoked_agents":[],"revoked_orgs":[],"revoked_keys":[]}}"#
        )
    );
    // Both names are the same document.
    let other = app.get(&format!("/oauth/revoked-tokens?since={v1}")).await;
    assert_eq!(other.fingerprint(), nothing.fingerprint());
    let whole = since(app, &json!(0)).await.json();
    assert_eq!((&whole["since"], &whole["version"]), (&Value::Null, &v1));
    assert_eq!(whole["revoked_tokens"][0]["jti"], first);
    assert_eq!(whole["revoked_tokens"][1]["jti"], second);
}

async fn every_entry_says_until_when_it_matters(app: &TestApp<'_>) {
    let agent = app
        .agent_like(None, "tokens:read", |terms| terms.ttl = Ttl::new(300).ok())
        .await;
    let token = app.token(&agent).await;
    app.revoke(&agent, &token).await;
    let v0 = version(app).await;
    app.clock.advance(100);
    app.suspend(&agent).await;
    app.state.list.refresh().await.unwrap();
    let whole = since(app, &json!(0)).await.json();
    assert_eq!(whole["revoked_tokens"][0]["exp"], NOW.0 + 300);
    assert_eq!(whole["revoked_agents"][0]["exp"], NOW.0 + 100 + 86_520);
    app.clock.advance(200);
    let whole = since(app, &json!(0)).await.json();
    assert_eq!(whole["revoked_tokens"], json!([]));
    // The version of an entry that has expired is known all the same.
    let delta = since(app, &v0).await.json();
    assert_eq!(delta["since"], v0);
    assert_eq!(delta["revoked_agents"], whole["revoked_agents"]);
    app.clock.advance(86_319);
    assert_eq!(
        since(app, &v0).await.json()["revoked_agents"],
        whole["revoked_agents"]
    );
    app.clock.advance(1);
    assert_eq!(since(app, &v0).await.json()["revoked_agents"], json!([]));
}

async fn a_version_that_was_never_given_gets_the_whole_list(app: &TestApp<'_>) {
    let (_, first) = revoke_one(app).await;
    let v0 = version(app).await.as_i64().unwrap();
    app.clock.advance(1);
    revoke_one(app).await;
    for unknown in [1, v0 - 1, v0 + 1] {
        let whole = since(app, &json!(unknown)).await.json();
        assert_eq!(whole["since"], Value::Null, "{unknown}");
        assert_eq!(whole["revoked_tokens"][0]["jti"], first);
    }
    assert_eq!(since(app, &json!(v0)).await.json()["since"], v0);
}

async fn a_version_of_another_process_is_known_after_the_next_look(app: &TestApp<'_>) {
    let other = app.beside().await;
    let (_, first) = revoke_one(app).await;
    let v1 = version(app).await;
    let path = format!("{REVOKED}?since={v1}");
    let looking = async {
        wait_until("a request waits for the look", async || {
            other.state.list.held() > 0
        })
        .await;
        other.state.list.refresh().await.unwrap();
    };
    let (answer, ()) = tokio::join!(other.get(&path), looking);
    is_a_delta(&answer);
    assert_eq!(
        (&answer.json()["since"], &answer.json()["version"]),
        (&v1, &v1)
    );
    // A version that no process gave is told so after a look.
    let future = v1.as_i64().unwrap() + 1_000_000;
    let path = format!("{REVOKED}?since={future}&wait=25");
    let looking = async {
        wait_until("a request waits for the look", async || {
            other.state.list.held() > 0
        })
        .await;
        other.state.list.refresh().await.unwrap();
    };
    let (answer, ()) = tokio::join!(other.get(&path), looking);
    assert_eq!(answer.json()["since"], Value::Null, "{answer:?}");
    assert_eq!(answer.json()["revoked_tokens"][0]["jti"], first);
    // Without a look nothing is said: the list of this process may be the older one.
    let silent = other.get(&path).await;
    silent.is_error(503, "temporarily_unavailable");
    assert_ne!(silent.header("retry-after"), "");
}

async fn a_since_or_a_wait_that_is_no_number_in_range_is_refused(app: &TestApp<'_>) {
    for query in [
        "since=-1",
        "since=x",
        "since=1.0",
        "since=%2B1",
        "since=+1",
        "since=9007199254740992",
        "since=99999999999999999999",
        "since=1&since=1",
        "since[]=1",
        "wait=0",
        "wait=26",
        "wait=-1",
        "wait=x",
        "wait=1.5",
        "wait=1&wait=1",
        "wait[]=1",
        "since=0&wait=0",
        "%77ait=0",
        "since=1&x=%zz",
    ] {
        for name in [REVOKED, "/oauth/revoked-tokens"] {
            let answer = app.get(&format!("{name}?{query}")).await;
            answer.is_error(400, "invalid_request");
        }
    }
    for query in [
        "since=",
        "wait=",
        "since=&wait=",
        "since=0",
        "wait=25",
        "wait=1",
    ] {
        assert_eq!(
            app.get(&format!("{REVOKED}?{query}")).await.status,
            200,
            "{query}"
        );
    }
}

async fn a_query_of_others_is_ignored(app: &TestApp<'_>) {
    revoke_one(app).await;
    let list = app.get(REVOKED).await;
    for query in [
        "",
        "_=1",
        "x=%zz",
        "x=%ff&y",
        "version=1",
        "wait=",
        "Since=1",
        "since_=2",
    ] {
        let answer = app.get(&format!("{REVOKED}?{query}")).await;
        assert_eq!(answer.fingerprint(), list.fingerprint(), "{query}");
    }
}

async fn a_key_that_leaked_is_named_until_its_last_token_has_expired(app: &TestApp<'_>) {
    let other = app.beside().await;
    revoke_one(app).await;
    let before = app.get(REVOKED).await;
    let v0 = before.json()["version"].clone();
    other.state.list.refresh().await.unwrap();
    let admin = app.agent("admin:orgs").await;
    let token = app.token(&admin).await;
    let leaked = header(&token)["kid"].clone();
    let revoking = async {
        held(app, 1).await;
        let body = r#"{"now":true,"revoke":true}"#;
        let headers = [
            ("content-type", "application/json"),
            ("authorization", &bearer(&token)),
        ];
        let answer = app
            .send("POST", "/api/v1/keys/rotate", &headers, body.into())
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    let path = format!("{REVOKED}?since={v0}&wait=25");
    let (polled, ()) = tokio::join!(app.get(&path), revoking);
    let named = json!([{"kid": leaked, "exp": NOW.0 + 86_520}]);
    assert_eq!(polled.json()["revoked_keys"], named);
    assert_eq!(polled.json()["revoked_tokens"], json!([]));
    // The list of contract §4 is as before, but for its version.
    let (after, v1) = (app.get(REVOKED).await, version(app).await);
    assert_eq!(
        after.body,
        before.body.replace(&v0.to_string(), &v1.to_string())
    );
    other.state.list.refresh().await.unwrap();
    let later = app.beside().await;
    for process in [&other, &later] {
        assert_eq!(since(process, &v0).await.json()["revoked_keys"], named);
        assert_eq!(
            since(process, &json!(0)).await.json()["revoked_keys"],
            named
        );
        assert_eq!(version(process).await, v1);
    }
    app.clock.advance(86_519);
    assert_eq!(since(app, &v0).await.json()["revoked_keys"], named);
    app.clock.advance(1);
    assert_eq!(since(app, &v0).await.json()["revoked_keys"], json!([]));
    // Its row goes a while later.
    app.clock.advance(120 + 1);
    let now = app.clock.now();
    app.opened
        .records
        .prune(now, 86_400 * 90, 1_000)
        .await
        .unwrap();
    assert_eq!(
        app.database
            .number("select count(*) from revoked_key")
            .await,
        0
    );
}

async fn a_long_delta_is_packed_once_and_has_its_own_tag(app: &TestApp<'_>) {
    revoke_one(app).await;
    let v0 = version(app).await;
    for _ in 0..20 {
        revoke_one(app).await;
    }
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}{REVOKED}?since={v0}", app.address);
    let get = async |headers: &[(&str, &str)]| {
        let mut request = client.get(&url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let header = |name: &str| {
            let value = response.headers().get(name);
            value.map_or(String::new(), |v| v.to_str().unwrap().to_owned())
        };
        let (tag, coding, vary) = (header("etag"), header("content-encoding"), header("vary"));
        assert_eq!(vary, "Accept-Encoding");
        let status = response.status().as_u16();
        (status, tag, coding, response.bytes().await.unwrap())
    };
    let (_, plain_tag, coding, plain) = get(&[]).await;
    assert_eq!(coding, "");
    let (_, tag, coding, packed) = get(&[("accept-encoding", "gzip")]).await;
    assert_eq!(
        (tag.as_str(), coding.as_str()),
        (
            format!("{}-gzip\"", plain_tag.trim_end_matches('"')).as_str(),
            "gzip"
        )
    );
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&*packed)
        .read_to_end(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, plain);
    assert!(packed.len() < plain.len());
    for tag in [&plain_tag, &tag] {
        let (status, again, _, body) =
            get(&[("accept-encoding", "gzip"), ("if-none-match", tag)]).await;
        assert_eq!((status, &again, body.len()), (304, tag, 0));
    }
}

/// What a client makes of the feed: the entries that it still needs at a time.
#[derive(Default)]
struct Follower {
    version: Option<i64>,
    tokens: BTreeMap<String, i64>,
    agents: BTreeMap<String, (i64, i64)>,
}

impl Follower {
    async fn ask(&mut self, app: &TestApp<'_>) {
        let asked = self.version.unwrap_or(0);
        let delta = since(app, &json!(asked)).await.json();
        if delta["since"].is_null() {
            self.tokens.clear();
            self.agents.clear();
        } else {
            assert_eq!(delta["since"], asked);
        }
        for token in delta["revoked_tokens"].as_array().unwrap() {
            let jti = token["jti"].as_str().unwrap().to_owned();
            self.tokens.insert(jti, token["exp"].as_i64().unwrap());
        }
        for agent in delta["revoked_agents"].as_array().unwrap() {
            let id = agent["agent"].as_str().unwrap().to_owned();
            let entry = (
                agent["epoch"].as_i64().unwrap(),
                agent["exp"].as_i64().unwrap(),
            );
            self.agents.insert(id, entry);
        }
        self.version = delta["version"].as_i64();
    }

    /// Compares with the whole list, after all that has expired is forgotten.
    async fn equals_the_list(&mut self, app: &TestApp<'_>, revoked: &[(String, i64)]) {
        let now = app.clock.now().0;
        self.tokens.retain(|_, exp| *exp > now);
        self.agents.retain(|_, (_, exp)| *exp > now);
        let list = app.get(REVOKED).await.json();
        assert_eq!(self.version, list["version"].as_i64());
        let agents: BTreeMap<String, i64> = list["revoked_agents"]
            .as_array()
            .unwrap()
            .iter()
            .map(|a| {
                (
                    a["agent"].as_str().unwrap().to_owned(),
                    a["epoch"].as_i64().unwrap(),
                )
            })
            .collect();
        let own = self
            .agents
            .iter()
            .map(|(id, (epoch, _))| (id.clone(), *epoch));
        assert_eq!(own.collect::<BTreeMap<_, _>>(), agents);
        let revoked = revoked.iter().filter(|(_, exp)| *exp > now);
        assert_eq!(self.tokens, revoked.cloned().collect());
        for jti in self.tokens.keys() {
            assert!(
                list["revoked_jtis"]
                    .as_array()
                    .unwrap()
                    .contains(&json!(jti))
            );
        }
    }
}

/// Two processes, followers that ask now this and now that one, and some that rest for long.
async fn any_sequence_of_deltas_equals_the_list(app: &TestApp<'_>) {
    let other = app.beside().await;
    let mut agents = Vec::new();
    for n in 0..4 {
        let agent = app
            .agent_like(Some(&format!("a{n}")), "tokens:read", |terms| {
                terms.ttl = Ttl::new(300 + 40_000 * n).ok();
            })
            .await;
        agents.push(agent);
    }
    let mut followers: Vec<Follower> = (0..5).map(|_| Follower::default()).collect();
    let mut revoked: Vec<(String, i64)> = Vec::new();
    let mut word: u64 = 88_172_645_463_325_252;
    let mut draw = |below: u64| {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        word % below
    };
    for _ in 0..120 {
        let agent = &agents[usize::try_from(draw(4)).unwrap()];
        let process = if draw(2) == 0 { app } else { &other };
        match draw(8) {
            0..=3 => {
                let token = process.token(agent).await;
                assert_eq!(process.revoke(agent, &token).await.status, 200);
                let (claims, jti) = (claims(&token), jti(&token));
                revoked.push((
                    jti.as_str().unwrap().to_owned(),
                    claims["exp"].as_i64().unwrap(),
                ));
            }
            4 => process.revoke_tokens(agent).await,
            5 => app.clock.advance(i64::try_from(draw(400)).unwrap()),
            6 => app.clock.advance(i64::try_from(draw(50_000)).unwrap()),
            _ => {}
        }
        for process in [app, &other] {
            process.state.list.refresh().await.unwrap();
        }
        let asked = usize::try_from(draw(5)).unwrap();
        let process = if draw(2) == 0 { app } else { &other };
        followers[asked].ask(process).await;
        followers[asked].equals_the_list(process, &revoked).await;
    }
    for follower in &mut followers {
        follower.ask(app).await;
        follower.equals_the_list(app, &revoked).await;
    }
}

/// Waits until the process holds this many requests.
pub(super) async fn held(app: &TestApp<'_>, polls: usize) {
    wait_until("the polls are held", async || {
        app.state.list.held() == polls
    })
    .await;
}
