-- People are found by the beginnings of their names' words without accents, of e-mail and employee code as one word each
-- without punctuation, and by the end of a card's number.
ALTER TABLE users DROP COLUMN words;
ALTER TABLE users ADD COLUMN words tsvector GENERATED ALWAYS AS (
    to_tsvector('simple', regexp_replace(normalize(name, NFKD), '[\u0300-\u036f]', '', 'g'))
    || array_to_tsvector(array_remove(ARRAY[
        left(regexp_replace(lower(normalize(email, NFKD)), '[^a-z0-9]', '', 'g'), 254),
        left(regexp_replace(lower(normalize(employee_code, NFKD)), '[^a-z0-9]', '', 'g'), 100)
    ], ''))
) STORED;
CREATE INDEX users_by_word ON users USING gin (words);
CREATE INDEX cards_by_end ON cards (organisation_id, (number % 10000)) WHERE number >= 10000000;
