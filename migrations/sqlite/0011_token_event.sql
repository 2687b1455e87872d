-- What tokens were issued for, once for all tokens of an agent with the same credential, scopes, audiences and
-- lifetime. Only what is seen often gets a row; anything else stands in the token's own row.
create table token_terms (
    -- With autoincrement, no id is ever used again.
    id integer primary key autoincrement,
    agent_id text not null,
    credential_id blob not null,
    scope text not null,
    audience text not null,
    ttl integer not null,
    -- The last day with such a token, in days since 1970. Written late, and at most once a day.
    used_on integer not null,
    -- The day since which no token uses the row, and later the newest event at that time. The row goes once all
    -- events up to that one are gone.
    retired_on integer,
    retired_through integer
) strict;

create index token_terms_agent_id on token_terms (agent_id);

-- A number drawn anew with each change of these rows. A process that remembers the rows names this number when
-- it records tokens by them, so no row of a token can name terms that the file does not hold: not after a
-- restore either, since no two histories of the rows draw the same number.
insert into revision (name, version) values ('terms', random() & 9223372036854775807);

create trigger token_terms_added after insert on token_terms
begin
    update revision set version = random() & 9223372036854775807 where name = 'terms';
end;

create trigger token_terms_removed after delete on token_terms
begin
    update revision set version = random() & 9223372036854775807 where name = 'terms';
end;

create trigger token_terms_changed
after update of id, agent_id, credential_id, scope, audience, ttl, retired_on on token_terms
begin
    update revision set version = random() & 9223372036854775807 where name = 'terms';
end;

-- One row a token. Its ids and those of "audit_event" are drawn from one sequence, the row of "audit_event" in
-- sqlite_sequence, so that all events have one order: whoever writes rows here draws their ids there. "terms"
-- names a row of "token_terms". Without it, "agent_id" and "inline" (JSON) tell the terms. A token expires at
-- "at" and its lifetime.
create table token_event (
    id integer primary key,
    at integer not null,
    jti blob not null,
    request blob,
    epoch integer not null,
    terms integer,
    source blob,
    agent_id text,
    inline text
) strict;
