"""Real clients, each configured as docs/clients.md says, against a real gateway: ``make test-clients``.

| file              | is                                                                                      |
|-------------------|-----------------------------------------------------------------------------------------|
| ``check_NAME.py`` | one client; not ``test_``, so that the suite, which installs none of them, leaves it out |
| `page`            | reads the configurations out of docs/clients.md                                          |
| `case`            | the servers, and what each client has to bear                                            |
| ``install.sh``    | what gets the clients                                                                    |

``test_page.py`` belongs to the suite: it sees to it that every client of the page has its check.
"""
