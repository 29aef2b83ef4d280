"""The sample crawl that ships with the project, and the script that built it."""
