-- What authenticates a key's kid, state and times under the master key. Null in rows of an older release.
alter table signing_key add column seal blob;
