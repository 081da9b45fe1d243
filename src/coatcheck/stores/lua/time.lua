-- The server's time in microseconds.
return whole(microseconds())
