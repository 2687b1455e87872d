//! Secrets that are printed only once. Another failure must not lose such a secret, and the command
//! says so if the secret was not shown.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection};

use crate::{Home, text};

const OPERATOR: &str = "sealwright-data/operator.env";
const CREATE: [&str; 7] = [
    "agent",
    "create",
    "--name",
    "n",
    "--scope",
    "agents:read",
    "--client-id",
];
const ROTATE: [&str; 3] = ["agent", "rotate-secret", "operator"];

/// A store with an agent `operator` and a file of that agent's credentials.
fn home_with_operator() -> Home {
    let home = Home::new();
    home.json(&[&CREATE[..], &["operator"]].concat());
    let file = home.write(OPERATOR, "CLIENT_ID=operator\nCLIENT_SECRET=x\n");
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    home
}

/// Runs a command whose stdout cannot be written to. Returns its exit code and its stderr.
fn run_without_stdout(
    home: &Home,
    arguments: &[&str],
    input: &str,
    stdout: Stdio,
) -> (i32, String) {
    let given = home.write("input", input);
    let mut command = home.command(arguments);
    command
        .stdin(File::open(given).unwrap())
        .stdout(stdout)
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // If stdout is a pipe, this closes its reading end.
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn a_new_secret_is_printed_before_the_file_that_held_the_old_one_is_touched() {
    let home = home_with_operator();
    let both = File::create(home.path("both")).unwrap();
    let mut command = home.command(&[&ROTATE[..], &["--json"]].concat());
    let status = command
        .stdout(both.try_clone().unwrap())
        .stderr(both)
        .status()
        .unwrap();
    let said = fs::read_to_string(home.path("both")).unwrap();
    assert!(status.success(), "{said}");
    let (first, second) = said.split_once('\n').unwrap();
    let answer: Value =
        serde_json::from_str(first).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert!(
        second.contains("operator.env holds the new secret"),
        "{said}"
    );
    let kept = fs::read_to_string(home.path(OPERATOR)).unwrap();
    assert!(kept.contains(text(&answer["clientSecret"])));
}

#[test]
fn a_file_of_credentials_that_is_too_long_to_be_one_is_not_read_and_costs_no_secret() {
    let home = home_with_operator();
    let path = home.path(OPERATOR);
    OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(64 * 1024 + 1)
        .unwrap();
    let ran = home.run(&[&ROTATE[..], &["--json"]].concat());
    assert!(
        ran.code == 0
            && ran
                .stderr
                .contains("operator.env: it holds more than 64 KiB"),
        "{ran:?}"
    );
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(text(&answer["clientSecret"]).starts_with("sw_"));
    assert_eq!(fs::metadata(&path).unwrap().len(), 64 * 1024 + 1);
}

#[test]
fn a_secret_that_was_not_shown_is_a_failure_that_says_what_to_do() {
    let full = || Stdio::from(OpenOptions::new().write(true).open("/dev/full").unwrap());
    for (stdout, cause) in [
        (&full as &dyn Fn() -> Stdio, "No space left"),
        (&Stdio::piped, "stdout is closed"),
    ] {
        let home = home_with_operator();
        for extra in [&[][..], &["--json"]] {
            let id = if extra.is_empty() { "a" } else { "b" };
            let create = [&CREATE[..], &[id], extra].concat();
            for command in [create, [&["agent", "rotate-secret", id], extra].concat()] {
                let (code, said) = run_without_stdout(&home, &command, "", stdout());
                let remedy = format!("`sealwright agent rotate-secret {id}` makes another");
                assert!(
                    code == 1 && said.contains(&remedy) && said.contains(cause),
                    "{command:?}: {said}"
                );
                assert!(
                    !said.contains("never shown again") && !said.contains("sw_"),
                    "{command:?}: {said}"
                );
            }
            // The file holds this new secret.
            let before = fs::read_to_string(home.path(OPERATOR)).unwrap();
            let rotate = [&ROTATE[..], extra].concat();
            let (code, said) = run_without_stdout(&home, &rotate, "", stdout());
            assert!(
                code == 1 && said.contains("was not shown") && said.contains(cause),
                "{said}"
            );
            assert!(
                said.contains("operator.env holds it") && !said.contains("makes another"),
                "{said}"
            );
            assert_ne!(fs::read_to_string(home.path(OPERATOR)).unwrap(), before);
            // The operator chose this secret, so it is not lost.
            let id = if extra.is_empty() { "c" } else { "d" };
            let chosen = [&CREATE[..], &[id, "--secret-stdin"], extra].concat();
            let (code, said) = run_without_stdout(&home, &chosen, "a secret of sixteen", stdout());
            assert!(code == 1 && said.contains(cause), "{said}");
            assert!(
                said.contains("its secret is the one that was given"),
                "{said}"
            );
            assert!(
                !said.contains("makes another") && !said.contains("a secret of sixteen"),
                "{said}"
            );
        }
    }
}

/// The program sees a closed stdout as the null device, open for reading too.
#[test]
fn a_secret_that_met_a_closed_stdout_is_a_failure() {
    let home = home_with_operator();
    let closed = |arguments: &[&str]| {
        let mut options = OpenOptions::new();
        let null = options.read(true).write(true).open("/dev/null").unwrap();
        run_without_stdout(&home, arguments, "a secret of sixteen", null.into())
    };
    for extra in [&[][..], &["--json"]] {
        let id = if extra.is_empty() { "a" } else { "b" };
        for command in [
            [&CREATE[..], &[id], extra].concat(),
            [&["agent", "rotate-secret", id], extra].concat(),
        ] {
            let (code, said) = closed(&command);
            let remedy = format!("rotate-secret {id}` makes another");
            assert!(
                code == 1 && said.contains("stdout is closed") && said.contains(&remedy),
                "{command:?}: {said}"
            );
        }
    }
    // These secrets are not lost: the operator has them.
    for command in [
        [&CREATE[..], &["c", "--secret-stdin"]].concat(),
        ROTATE.to_vec(),
    ] {
        let (code, said) = closed(&command);
        assert_eq!(code, 0, "{command:?}: {said}");
    }
}

#[test]
fn a_secret_that_went_to_the_null_device_is_told() {
    let home = home_with_operator();
    let null = |arguments: &[&str]| {
        run_without_stdout(&home, arguments, "a secret of sixteen", Stdio::null())
    };
    let told = "stdout is the null device";
    let (code, said) = null(&[&CREATE[..], &["a"]].concat());
    assert!(
        code == 0 && said.contains(told) && said.contains("rotate-secret a` makes another"),
        "{said}"
    );
    for quiet in [
        [&CREATE[..], &["b", "--secret-stdin"]].concat(),
        ROTATE.to_vec(),
        vec!["agent", "list"],
    ] {
        let (code, said) = null(&quiet);
        assert!(code == 0 && !said.contains(told), "{quiet:?}: {said}");
    }
}

#[tokio::test]
async fn a_new_secret_is_printed_when_its_agent_cannot_be_read() {
    let home = Home::new();
    home.json(&[&CREATE[..], &["a"]].concat());
    // From now on, a new secret also sets a lifetime in the agent's row that is invalid. Reading
    // the agent then fails.
    let url = format!(
        "sqlite://{}",
        home.path("sealwright-data/sealwright.db").display()
    );
    let mut store = SqliteConnection::connect(&url).await.unwrap();
    let damage = "create trigger damage after insert on credential begin \
                  update agent set ttl = 5 where agent_id = new.agent_id; end";
    sqlx::raw_sql(damage).execute(&mut store).await.unwrap();
    store.close().await.unwrap();
    for command in [
        vec!["agent", "rotate-secret", "a"],
        [&CREATE[..], &["b"]].concat(),
    ] {
        let ran = home.run(&[&command[..], &["--json"]].concat());
        assert!(
            ran.code == 0 && ran.stderr.contains("the agent itself cannot be shown"),
            "{ran:?}"
        );
        let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(answer["agentId"], *command.last().unwrap());
        assert!(
            text(&answer["clientSecret"]).starts_with("sw_") && answer["credentialId"].is_string()
        );
    }
    let ran = home.run(&[&CREATE[..], &["c"]].concat());
    assert!(
        ran.code == 0 && ran.stdout.starts_with("client id\tc\nclient secret\tsw_"),
        "{ran:?}"
    );
}
