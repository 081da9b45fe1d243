from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

from coatcheck.starlette import Site, logged_in, mount_auth


async def front(request):
    if not request.user.is_authenticated:
        return HTMLResponse('<h1>The Shop</h1><a href="mine">My orders</a>')
    profile = await auth.profile(request.user.identity)
    return HTMLResponse(
        f"<h1>The Shop</h1><p>Hello {profile.email}</p>"
        '<form method="post" action="auth/logout"><button>Leave</button></form>'
        '<form method="post" action="order"><button>Order</button></form>'
    )


@logged_in
async def mine(request):
    return HTMLResponse('<h1>My orders</h1><a href=".">Back</a>')


@logged_in
async def order(request):
    return HTMLResponse("<h1>Ordered</h1>")


app = Starlette(routes=[Route("/", front), Route("/mine", mine), Route("/order", order, methods=["POST"])])
site = Site(name="The Shop", logo="logo.svg", color="#7c3aed", home="/mine")
auth = mount_auth(app, "sqlite:///app.db", site=site)
