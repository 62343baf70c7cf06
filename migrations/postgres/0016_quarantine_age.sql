-- What was put aside is removed by its age.
CREATE INDEX quarantine_by_age ON quarantine (at);
