from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from coatcheck.fastapi import CurrentUser, OptionalUser, Site, mount_auth

app = FastAPI()
site = Site(name="The Shop", logo="logo.svg", color="#7c3aed", home="/mine")
auth = mount_auth(app, "sqlite:///app.db", site=site)


@app.get("/", response_class=HTMLResponse)
async def front(user: OptionalUser):
    if user is None:
        return '<h1>The Shop</h1><a href="mine">My orders</a>'
    return (
        f"<h1>The Shop</h1><p>Hello {(await auth.profile(user)).email}</p>"
        '<form method="post" action="auth/logout"><button>Leave</button></form>'
        '<form method="post" action="order"><button>Order</button></form>'
    )


@app.get("/mine", response_class=HTMLResponse)
async def mine(user: CurrentUser):
    return '<h1>My orders</h1><a href=".">Back</a>'


@app.post("/order", response_class=HTMLResponse)
async def order(user: CurrentUser):
    return "<h1>Ordered</h1>"
