-- The server's clock in microseconds, and the highest time that was given out in seconds.
return {whole(microseconds()), exact(highest())}
