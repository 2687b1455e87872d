//! What only SQLite can show: one file, and several processes that take turns to write it.

use std::fs::File;
use std::time::{Duration, Instant};

use sealwright::testing::store::records::ReadAgents;
use sealwright::testing::store::sqlite::{NotAlone, SqliteStore};
use sealwright::testing::store::{AgentChange, Change, OpenError, Outcome, Store, StoreError};
use sqlx::{Connection, SqliteConnection};

use super::kit::{
    EVENTS, MILLIS, batch, commit, counted, create, grants, id, read, send, suspension, used, write,
};
use crate::harness::database::Database;

/// Takes the turn to write, the lock on the `.turn` file, as another process would.
fn take_turn(db: &Database) -> File {
    let mut name = db.path().as_os_str().to_owned();
    name.push(".turn");
    let file = File::options().read(true).write(true).open(name).unwrap();
    file.lock().unwrap();
    file
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_waits_for_its_turn() {
    let db = Database::sqlite().await;
    let store = db.open().await;
    create(&*store, "a").await;
    let turn = take_turn(&db);
    let batch = batch(grants(&*store, "a", 1, None).await);
    let sent = tokio::spawn({
        let store = store.clone();
        async move { send(&*store, &batch).await }
    });
    // No condition shows that the writer waits for its turn, so this test waits for a fixed time.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!sent.is_finished());
    // Reads need no turn.
    assert_eq!(used(&*store, "a").await, None);
    drop(turn);
    assert_eq!(sent.await.unwrap(), [counted(0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_does_not_come_is_unavailable_and_is_not_taken_later() {
    let db = Database::sqlite().await;
    let store = db.open().await;
    create(&*store, "a").await;
    let turn = take_turn(&db);
    let batch = batch(grants(&*store, "a", 1, None).await);
    let began = Instant::now();
    let (issued, suspended) = tokio::join!(
        store.issue(&batch),
        store.commit(vec![write(suspension(id("a")))])
    );
    assert!(matches!(issued, Err(StoreError::Unavailable(_))));
    assert!(matches!(suspended, Err(StoreError::Unavailable(_))));
    // The wait ends after two seconds or so, and the turn is still taken.
    assert!(began.elapsed() < Duration::from_secs(20));
    drop(turn);
    // A call that gave up may still get the turn later. It must release the turn at once.
    for _ in 0..3 {
        drop(take_turn(&db));
        assert_eq!(send(&*store, &batch).await, [counted(0)]);
    }
    assert_eq!(db.number(EVENTS).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_is_never_locked_out_by_a_busy_one() {
    let db = Database::sqlite().await;
    let (busy, other) = (db.open().await, db.open().await);
    create(&*busy, "a").await;
    create(&*busy, "b").await;
    let server = tokio::spawn(async move {
        for _ in 0..200 {
            let batch = batch(grants(&*busy, "a", 8, None).await);
            assert_eq!(send(&*busy, &batch).await, [counted(0); 8]);
        }
    });
    let mut commands = 0;
    while !server.is_finished() {
        assert_eq!(
            commit(&*other, Change::Agent(AgentChange::RevokeTokens(id("b")))).await,
            Outcome::Applied
        );
        commands += 1;
    }
    server.await.unwrap();
    assert!(commands > 0);
    assert_eq!(
        read(&*other, "b").await.agent.epoch.0,
        MILLIS + commands - 1
    );
    assert_eq!(db.number(EVENTS).await, 1_600);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let db = Database::sqlite().await;
    let store = db.open().await;
    create(&*store, "a").await;
    let _serving = SqliteStore::lock_serve(db.path()).unwrap();
    let mut names = Vec::new();
    for entry in db.path().parent().unwrap().read_dir().unwrap() {
        let entry = entry.unwrap();
        assert_eq!(
            entry.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{entry:?}"
        );
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(
        names,
        [
            "sealwright.db",
            "sealwright.db-shm",
            "sealwright.db-wal",
            "sealwright.db.serve",
            "sealwright.db.turn"
        ]
    );
}

#[tokio::test]
async fn only_one_process_serves_from_a_file() {
    let db = Database::sqlite().await;
    let first = SqliteStore::lock_serve(db.path()).unwrap();
    assert!(matches!(
        SqliteStore::lock_serve(db.path()),
        Err(NotAlone::AlreadyServing)
    ));
    // Commands work while another process serves.
    create(&*db.open().await, "a").await;
    drop(first);
    SqliteStore::lock_serve(db.path()).unwrap();
}

#[tokio::test]
async fn only_one_process_serves_from_a_file_whatever_name_it_gives_it() {
    use std::os::unix::fs::symlink;
    let db = Database::sqlite().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let folder = db.path().parent().unwrap();
    let (file, folder_link) = (
        elsewhere.path().join("link.db"),
        elsewhere.path().join("folder"),
    );
    symlink(db.path(), &file).unwrap();
    symlink(folder, &folder_link).unwrap();
    let names = [
        db.path().to_owned(),
        file,
        folder_link.join(db.path().file_name().unwrap()),
        folder.join("./sealwright.db"),
    ];
    for first in &names {
        let serving = SqliteStore::lock_serve(first).unwrap();
        for second in &names {
            let refused = SqliteStore::lock_serve(second);
            assert!(
                matches!(refused, Err(NotAlone::AlreadyServing)),
                "{first:?} {second:?}: {refused:?}"
            );
        }
        drop(serving);
        // The lock for turns and the write-ahead log lie beside the real file too, not beside the
        // link.
        let store = SqliteStore::open(first).await.unwrap();
        assert!(
            SqliteStore::open_to_read(first)
                .agents(None, 1)
                .await
                .unwrap()
                .is_empty()
        );
        drop(store);
    }
    let beside: Vec<_> = elsewhere
        .path()
        .read_dir()
        .unwrap()
        .map(|one| one.unwrap().file_name())
        .collect();
    assert_eq!(beside.len(), 2, "{beside:?}");
    // SQLite would make a separate write-ahead log for each of two hard links.
    let second_name = elsewhere.path().join("second.db");
    std::fs::hard_link(db.path(), &second_name).unwrap();
    for name in [db.path(), &second_name] {
        assert!(matches!(
            SqliteStore::lock_serve(name),
            Err(NotAlone::SeveralNames)
        ));
        // A command would lose what it writes, without a word.
        let refused = SqliteStore::open(name).await.map(drop).unwrap_err();
        assert!(
            format!("{refused:?}").contains("SeveralNames"),
            "{refused:?}"
        );
    }
    std::fs::remove_file(second_name).unwrap();
    SqliteStore::lock_serve(db.path()).unwrap();
    SqliteStore::open(db.path()).await.unwrap();
}

#[tokio::test]
async fn a_log_that_a_reader_made_long_is_cut_when_it_has_gone() {
    use sqlx::{Connection, SqliteConnection};
    let db = Database::sqlite().await;
    let store = db.open().await;
    create(&*store, "a").await;
    let mut log = db.path().as_os_str().to_owned();
    log.push("-wal");
    let length = || std::fs::metadata(&log).unwrap().len();
    let mut reader = SqliteConnection::connect(db.path().to_str().unwrap())
        .await
        .unwrap();
    sqlx::raw_sql("begin; select count(*) from agent")
        .execute(&mut reader)
        .await
        .unwrap();
    db.execute(
        "create table filler (bytes blob); insert into filler values (randomblob(30000000))",
    )
    .await;
    create(&*store, "b").await;
    assert!(length() > 30_000_000, "{}", length());
    sqlx::raw_sql("rollback")
        .execute(&mut reader)
        .await
        .unwrap();
    for id in ["c", "d", "e"] {
        create(&*store, id).await;
    }
    assert!(length() <= 8 * 1024 * 1024, "{}", length());
}

#[tokio::test]
async fn a_folder_that_is_missing_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing").join("sealwright.db");
    assert!(matches!(
        SqliteStore::open(&path).await,
        Err(OpenError::Unreachable(_))
    ));
    assert!(matches!(
        SqliteStore::lock_serve(&path),
        Err(NotAlone::Fault(_))
    ));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sealwright.db");
    std::fs::write(
        &path,
        "not a database, and long enough to be told from one".repeat(100),
    )
    .unwrap();
    assert!(matches!(
        SqliteStore::open(&path).await,
        Err(OpenError::Fault(_))
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_is_opened_by_several_processes_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sealwright.db");
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let path = path.clone();
        tasks.spawn(async move { SqliteStore::open(&path).await.map(drop) });
    }
    for opened in tasks.join_all().await {
        opened.unwrap();
    }
    SqliteStore::open(&path)
        .await
        .unwrap()
        .ping()
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_damaged_or_no_database_is_unavailable() {
    for healthy in [0, 4_096] {
        let db = Database::sqlite().await;
        let store = db.open().await;
        create(&*store, "a").await;
        let batch = batch(grants(&*store, "a", 1, None).await);
        // Once the last connection is closed, SQLite has moved everything from the log into the
        // file.
        while std::fs::exists(db.path().with_extension("db-wal")).unwrap() {
            store.close().await;
        }
        // Simulate a disk that loses data, with the file's first page kept (SQLite error 11,
        // CORRUPT) or lost (26, NOTADB).
        let mut bytes = std::fs::read(db.path()).unwrap();
        bytes[healthy..].fill(0x5a);
        std::fs::write(db.path(), bytes).unwrap();
        for answer in [
            store.issue(&batch).await.map(drop),
            store
                .commit(vec![write(suspension(id("a")))])
                .await
                .map(drop),
        ] {
            assert!(
                matches!(answer, Err(StoreError::Unavailable(_))),
                "{healthy}: {answer:?}"
            );
        }
        db.remove().await;
    }
}

/// A file of the release before migration 8: its events have plain row ids, which are used again.
async fn file_with_plain_ids() -> Database {
    let (new, folder) = (Database::sqlite().await, tempfile::tempdir().unwrap());
    let path = folder.path().join("sealwright.db");
    File::create(&path).unwrap();
    let db = Database::Sqlite {
        _folder: folder,
        path,
    };
    let migrations = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
    let files = std::fs::read_dir(migrations).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort_unstable();
    db.execute("pragma journal_mode = wal").await;
    for file in &files[..7] {
        db.execute(&std::fs::read_to_string(file).unwrap()).await;
    }
    let applied = new
        .texts("select sql from sqlite_schema where name = '_sqlx_migrations'")
        .await
        .remove(0);
    db.execute(&format!(
        "{applied}; attach '{}' as new;
         insert into _sqlx_migrations select * from new._sqlx_migrations where version < 8",
        new.path().display()
    ))
    .await;
    db
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_file_gives_no_event_id_twice_once_it_was_opened() {
    const EVENT: &str =
        "insert into audit_event (at, kind, actor, detail) values (1, 'k', 'a', '{}')";
    const NEWEST: &str = "select max(id) from audit_event";
    let db = file_with_plain_ids().await;
    // The newest event is pruned, and the next one gets its id.
    for sql in [EVENT, EVENT, "delete from audit_event where id = 2", EVENT] {
        db.execute(sql).await;
    }
    assert_eq!(db.number(NEWEST).await, 2);
    let mut old = SqliteConnection::connect(db.path().to_str().unwrap())
        .await
        .unwrap();
    sqlx::query(EVENT).execute(&mut old).await.unwrap();

    let store = db.open().await;
    let kept = "select count(*) from audit_event";
    assert_eq!(db.number(kept).await, 3, "the old rows stay");
    // A process of the older release still has the file open. Its prepared statement goes by the
    // new definition.
    for expected in [4, 5] {
        db.execute("delete from audit_event").await;
        sqlx::query(EVENT).execute(&mut old).await.unwrap();
        assert_eq!(db.number(NEWEST).await, expected);
    }
    old.close().await.unwrap();
    db.execute("delete from audit_event").await;
    create(&*store, "a").await;
    assert_eq!(db.number(NEWEST).await, 6);
    assert_eq!(db.texts("pragma integrity_check").await, ["ok"]);
    // The file is defined as a new one is.
    let new = Database::sqlite().await;
    let definition = "select sql from sqlite_schema where sql is not null order by name";
    assert_eq!(db.texts(definition).await, new.texts(definition).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_events_of_an_older_file_are_kept_without_a_copy() {
    let db = file_with_plain_ids().await;
    db.execute(
        "insert into audit_event (at, kind, actor, detail)
         with recursive n (i) as (values (1) union all select i + 1 from n where i < 20000)
         select i, 'k', 'a', printf('%.200c', 'x') from n",
    )
    .await;
    let pages = "select page_count from pragma_page_count";
    let before = db.number(pages).await;
    db.open().await;
    assert!(db.number(pages).await < before + 80, "{before}");
    assert_eq!(db.number("select max(id) from audit_event").await, 20_000);
}
