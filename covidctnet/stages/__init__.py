"""The arrows of the data flow, one function a file, in the order in which `experiment` calls them."""
