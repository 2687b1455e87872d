-- Authorization codes that were exchanged, each with the token that it was exchanged for: so a batch
-- whose answer was lost knows its own codes from those that somebody else spent.
create table spent_code (
    code_id blob primary key not null,
    jti blob not null,
    expires_at integer not null
) strict, without rowid;

create index spent_code_expires_at on spent_code (expires_at);
