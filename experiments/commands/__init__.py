"""What command lines share: options, exit codes, standard output, files that strangers made."""
