-- What an imported hash says before its salt: how it is computed and what that costs. A secret of a foreign
-- form costs the same whatever its id, so a server asks which costs there are; the index answers it in as
-- many steps as there are different ones. A hash ends with its salt and its output (bcrypt joins the two).
create function credential_cost (hash text) returns text
language sql immutable parallel safe
return case
    when hash like '$2%' then left(hash, 7)
    else coalesce(substring(hash from '^(.*\$)[^$]*\$[^$]*$'), '')
end collate "C";

create index credential_imported_cost on credential (credential_cost(hash)) where tag is null;
