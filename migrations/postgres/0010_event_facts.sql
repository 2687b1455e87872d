-- What an event tells besides whom it concerns: the credential, the organisation, where the request came from and
-- which it was, the reason that the actor gave, and as JSON what is fixed for its kind. Null where there is
-- nothing to tell, and in rows of an older release, which tell it by "detail" alone.
alter table audit_event add column credential_id uuid;
alter table audit_event add column org_id text collate "C";
alter table audit_event add column source bytea;
alter table audit_event add column request bytea;
alter table audit_event add column reason text;
alter table audit_event add column data text;
