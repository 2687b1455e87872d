//! The recipe's `Tokens`: it keeps a token, renews it in time, and gets another when a service says that it is dead.

use clients::stub::Stub;
use clients::{Given, Outcome, Report, WRONG_SECRET};

// recipe: tokens
use std::error::Error;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Deserialize;
use ureq::http::{Request, Response, StatusCode};
use ureq::{AsSendBody, Body};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Keeps a token, renews it 60 s before it expires, and forgets it when a service says that it is dead.
struct Tokens {
    http: ureq::Agent,
    endpoint: String,
    form: [(&'static str, String); 5],
    kept: Mutex<Option<(String, Instant)>>,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: u64,
}

impl Tokens {
    fn new(issuer: &str, id: &str, secret: &str, scope: &str, audience: &str) -> Self {
        let form = [
            ("grant_type", "client_credentials".to_owned()),
            ("client_id", id.to_owned()),
            ("client_secret", secret.to_owned()),
            ("scope", scope.to_owned()),
            ("audience", audience.to_owned()),
        ];
        let http = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(10)))
            .http_status_as_error(false)
            .build()
            .new_agent();
        Self {
            http,
            endpoint: format!("{issuer}/api/v1/token"),
            form,
            kept: Mutex::default(),
        }
    }

    fn get(&self) -> Result<String> {
        // One thread asks, the others wait for its answer.
        let mut kept = self.kept.lock().unwrap();
        if let Some((token, renew_at)) = &*kept
            && Instant::now() < *renew_at
        {
            return Ok(token.clone());
        }
        let asked = Instant::now();
        let mut answer = self
            .http
            .post(&self.endpoint)
            .send_form(self.form.clone())?;
        if answer.status() != StatusCode::OK {
            return Err(format!(
                "no token: {} {}",
                answer.status(),
                answer.body_mut().read_to_string()?
            )
            .into());
        }
        let told: Answer = answer.body_mut().read_json()?;
        let renew_at = asked + Duration::from_secs(told.expires_in.saturating_sub(60));
        *kept = Some((told.access_token.clone(), renew_at));
        Ok(told.access_token)
    }

    fn forget(&self, dead: &str) {
        // Another thread may have brought a new one by now.
        self.kept
            .lock()
            .unwrap()
            .take_if(|(token, _)| token == dead);
    }

    /// Sends a request with a token. On a 401 the token is forgotten and a new one tried, once.
    fn send<B: AsSendBody + Clone>(&self, request: &Request<B>) -> Result<Response<Body>> {
        let token = self.get()?;
        let answer = self.send_with(&token, request)?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        self.forget(&token);
        self.send_with(&self.get()?, request)
    }

    fn send_with<B: AsSendBody + Clone>(
        &self,
        token: &str,
        request: &Request<B>,
    ) -> Result<Response<Body>> {
        let mut request = request.clone();
        request
            .headers_mut()
            .insert("Authorization", format!("Bearer {token}").parse()?);
        Ok(self.http.run(request)?)
    }
}
// end of recipe

fn main() -> Outcome {
    let given = Given::read()?;
    let mut report = Report::default();
    // Each agent may read itself with a token for the issuer: a service whose answer is known.
    let tokens_for = |secret: &str, audience: &str| {
        Tokens::new(&given.issuer, &given.client_id, secret, "db:read", audience)
    };
    let myself = format!("{}/api/v1/agents/{}", given.issuer, given.client_id);
    let request = Request::get(&myself).body(())?;
    let tokens = tokens_for(&given.client_secret, &given.issuer);

    assert_eq!(tokens.send(&request)?.status(), StatusCode::OK);
    let first = tokens.get()?;
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| tokens.get().map_err(|e| e.to_string())))
            .collect();
        assert!(
            calls
                .into_iter()
                .all(|call| call.join().unwrap() == Ok(first.clone()))
        );
    });
    report.did("one token for many calls");

    // 60 s before its end a token is renewed, and a quarter of a minute earlier it is not.
    for (lifetime, issued) in [(60, 3), (75, 1)] {
        let stub = Stub::open(move |number| {
            (
                200,
                format!(r#"{{"access_token":"{number}","expires_in":{lifetime}}}"#),
            )
        })?;
        let mut tokens = tokens_for("any", "any");
        tokens.endpoint.clone_from(&stub.url);
        for _ in 0..3 {
            tokens.get()?;
        }
        assert_eq!(stub.answered(), issued, "{lifetime}");
    }
    report.did("renewed 60 s before its end");

    given.revoke(&first)?;
    assert_eq!(tokens.send(&request)?.status(), StatusCode::OK);
    let second = tokens.get()?;
    assert_ne!(second, first);
    given.revoke_agent()?;
    assert_eq!(tokens.send(&request)?.status(), StatusCode::OK);
    assert_ne!(tokens.get()?, second);

    let service = Stub::open(|_| (401, "no".to_owned()))?;
    assert_eq!(
        tokens
            .send(&Request::post(&service.url).body("rows")?)?
            .status(),
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(service.answered(), 2);
    report.did("a dead token is dropped and another asked for, once");

    let refusal = tokens_for(WRONG_SECRET, &given.issuer)
        .get()
        .unwrap_err()
        .to_string();
    assert!(
        refusal.starts_with("no token: 401") && refusal.contains("invalid_client"),
        "{refusal}"
    );
    report.done("ureq")
}
