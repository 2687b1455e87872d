-- Rises with each change of a signing key. Counting a token compares it, so that no server signs with keys that it read
-- before the change. A release that does not know this row changes keys without it; its changes are found by reading.
insert into revision (name, version) values ('keys', 0);
