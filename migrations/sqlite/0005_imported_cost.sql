-- What an imported hash says before its salt: how it is computed and what that costs. A secret of a foreign
-- form costs the same whatever its id, so a server asks which costs there are; the index answers it in as
-- many steps as there are different ones. A hash ends with its salt and its output (bcrypt joins the two).
alter table credential add column cost text generated always as (
    case
        when hash like '$2%' then substr(hash, 1, 7)
        else rtrim(rtrim(rtrim(hash, replace(hash, '$', '')), '$'), replace(hash, '$', ''))
    end
) virtual;

create index credential_imported_cost on credential (cost) where tag is null;
