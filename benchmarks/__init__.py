"""What Ebbflow measures, and beside what; each module is one benchmark."""
