from latchwork.cli.main import main

main()
