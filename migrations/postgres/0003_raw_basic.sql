-- Whether a credential's client sends it in HTTP Basic as it is, and not form-encoded first as RFC 6749
-- §2.3.1 has it. Only imported ones: what is generated is the same both ways.
alter table credential add column raw_basic boolean not null default false;
