"""The volume model: contacts and handle times per queue and interval."""
