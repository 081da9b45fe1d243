import os

from flask import Flask, render_template_string
from werkzeug.middleware.proxy_fix import ProxyFix

from coatcheck import Policy
from coatcheck.flask import Auth, Site, current_user, login_required, mount_auth, optional_user

app = Flask(__name__)
site = Site(name="The Shop", logo="logo.svg", color="#7c3aed", home="/mine")
auth = mount_auth(app, Auth("sqlite:///app.db", policy=Policy(trusted_proxies=("127.0.0.1",))), site=site)
if os.environ.get("PREFIX"):
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_prefix=1)

FRONT = """<h1>The Shop</h1>
{% if current_user %}
<p>Hello {{ email }}</p>
<form method="post" action="{{ url_for("coatcheck.serve", path="logout") }}"><button>Leave</button></form>
<form method="post" action="order"><button>Order</button></form>
{% else %}
<a href="mine">My orders</a>
{% endif %}"""


@app.get("/")
def front():
    user = optional_user()
    return render_template_string(FRONT, email=auth.profile(user).email if user else "")


@app.get("/mine")
@login_required
def mine():
    return '<h1>My orders</h1><a href=".">Back</a>'


@app.post("/order")
@login_required
def order():
    return f"<h1>Ordered</h1><!-- {current_user.subject} -->"
