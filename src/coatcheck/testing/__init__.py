"""What tests of applications, and of stores, can use."""
