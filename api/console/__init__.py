"""The console: pages for people, rendered on the server, on the same functions as `/v1/`.

One module a page. `visitor.py` says who looks, `rendering.py` how a page is made, `identity_provider.py` who vouches
for people. A page reads and acts by calling the functions of the endpoints, with the rights of whoever looks.
"""
