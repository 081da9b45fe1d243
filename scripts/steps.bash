# Sourced by the scripts that run checks one after the other.

# step HEADING COMMAND...: runs it under a heading. The first that fails ends the script, and is named.
step() {
  local heading=$1 begun=$SECONDS
  shift
  printf '\n==== %s\n' "$heading"
  "$@" </dev/null || {
    printf '\n==== FAILED: %s (exit %d)\n' "$heading" $?
    exit 1
  }
  printf -- '---- %s: passed in %d s\n' "$heading" $((SECONDS - begun))
}
