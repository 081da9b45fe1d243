from litestar import Litestar, MediaType, get, post

from coatcheck.litestar import Auth, CurrentUser, OptionalUser, ServicePlugin, Site, logged_in

auth = Auth("sqlite:///app.db")
site = Site(name="The Shop", logo="logo.svg", color="#7c3aed", home="/mine")


@get("/", media_type=MediaType.HTML)
async def front(optional_user: OptionalUser) -> str:
    if optional_user is None:
        return '<h1>The Shop</h1><a href="mine">My orders</a>'
    return (
        f"<h1>The Shop</h1><p>Hello {(await auth.profile(optional_user)).email}</p>"
        '<form method="post" action="auth/logout"><button>Leave</button></form>'
        '<form method="post" action="order"><button>Order</button></form>'
    )


@get("/mine", media_type=MediaType.HTML)
async def mine(current_user: CurrentUser) -> str:
    return '<h1>My orders</h1><a href=".">Back</a>'


@post("/order", media_type=MediaType.HTML, guards=[logged_in])
async def order() -> str:
    return "<h1>Ordered</h1>"


app = Litestar([front, mine, order], plugins=[ServicePlugin(auth, site=site)])
