-- null: the user began it themselves, on the website.
ALTER TABLE app_sessions ALTER COLUMN client_id DROP NOT NULL;
